"""What a training run is made of: settings, batches, losses, its state, its journal, and windows over volumes."""
