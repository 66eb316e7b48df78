"""The reference baseline: networks trained on a dataset, maps predicted, chains traced, models judged.

A run, what `cryodata train` makes and `cryodata predict --weights RUN` takes:

    RUN/
      config.toml          every setting, as resolved; may be given back with --config
      run.json             what predict needs: network, heads and their classes, recipe, label rule, spacing
      weights.safetensors  the best weights on validation (the last ones, without validation)
      checkpoint.pt        last state: weights, optimiser, place in the stream; read with weights_only alone
      log.csv              a row per evaluation; scores.json: the last one in full, with confusion per head
      tensorboard/  curves.png  confusion.png

A prediction, what `cryodata predict` makes and `cryodata trace` takes:

    OUT/
      prediction.json      map, runs and their weights (sha256), windows, label_offset_xyz, classes of each head
      probabilities.zarr/  OME-Zarr 0.5; an array for each head that a run has, float16, axes c, z, y, x:
        atom/              (4, nz, ny, nx)   0 none, 1 CA, 2 N, 3 C; they sum to 1 in each voxel
        amino/             (21, nz, ny, nx)  0 none, 1 ALA ... 20 VAL
        secondary/         (4, nz, ny, nx)   0 none, 1 coil, 2 helix, 3 strand
      atom_CA.mrc.gz ...   with --mrc atom:CA: one channel, float32

Voxels are 1 A a side; the value at [c, iz, iy, ix] belongs to the point `origin_xyz + (ix, iy, iz)`, in A and in the
frame of the map as its header places it. `label_offset_xyz` (A) is what the label rule of training moved the labels by,
to be added to positions read from the peaks: 0 for `nearest` and `sphere`, +0.5 for `stored` and `floor`. With the
`residual` network amino[1:] / amino[1:].sum(0) is the residue type given that a C-alpha is there, so it may be read
anywhere near one; amino[0] is 1 - p(CA). Values under 2^-12 are stored as 0.

`predictions.open_prediction(OUT)` reads all of it: `.channel("atom", 1)` is a `Volume`, `.at("amino", index_zyx)` the
probabilities (n, 21) at some voxels, `.classes["atom"]` the names.
"""
