"""What is damaged of a version is made again: by the build that made it, which works on nothing that is whole."""

from __future__ import annotations

import json
from pathlib import Path

from cryodata.build.dataset import Observe, Report, build
from cryodata.build.provenance import catalogue_path, provenance_path
from cryodata.build.request import Request
from cryodata.build.run import Crew, Say
from cryodata.build.workspace import temporary_folder
from cryodata.errors import CryodataError, DatasetError
from cryodata.formats.versions import DatasetVersion


def repair(
    opened: DatasetVersion,
    crew: Crew,
    observe: Observe = lambda total, outcome: None,
    say: Say = lambda line: None,
) -> Report:
    """Build a version once more from its sources, in the folder where it lies.

    Raises DatasetError if it was not built there, CryodataError if its sources no longer give the same version.
    """
    folder = Path(opened.root) / opened.manifest.name
    path = provenance_path(folder, opened.manifest.version)
    try:
        made = json.loads(path.read_bytes())
        builder, recipe, source = str(made["builder"]), str(made["recipe"]), made["source"]
        settings, limit, ids = [str(item) for item in made["settings"]], made["limit"], made["ids"]
        catalogue = catalogue_path(folder, opened.manifest.version) if made.get("catalogue") else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{path}: does not say how the version was made ({type(error).__name__}); what is damaged can only be "
            "copied from elsewhere"
        ) from None
    with temporary_folder(folder) as temporary:
        if ids is not None:
            (temporary / "ids").write_text("".join(f"{one}\n" for one in ids), encoding="utf-8")
        request = Request(
            builder=builder,
            root=folder.parent,
            source=source if source is None or "://" in source else Path(source),
            name=folder.name,
            version=opened.manifest.version,
            recipe=recipe,
            settings=settings,
            crew=crew,
            limit=limit,
            ids=temporary / "ids" if ids is not None else None,
            catalog=catalogue,
        )
        try:
            return build(request, observe, say)
        except CryodataError as error:
            raise CryodataError(f"{folder.name}@{opened.manifest.version} can't be made again: {error}") from None
