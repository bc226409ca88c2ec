"""The keys of the fabric file as a table, from the schema that checks them."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ryu_vmmob.fabric import schema

SECTIONS: dict[str, type[BaseModel]] = {
    "(top)": schema._Top,
    "`data_centers`": schema.DataCenterDoc,
    "`l2_domains`": schema.L2DomainDoc,
    "`switches`": schema.SwitchDoc,
    "`links`": schema.LinkDoc,
    "`servers`": schema.ServerDoc,
    "`externals`": schema.ExternalDoc,
}


def rows() -> Iterator[tuple[str, str, str, str, str]]:
    """(object, key, whether it is required, its default, what it is)."""
    for section, shape in SECTIONS.items():
        for key, info in shape.model_fields.items():
            nothing = info.default in (PydanticUndefined, None, "", [], {})
            default = "-" if nothing else "`" + json.dumps(info.default).strip('"') + "`"
            yield section, f"`{key}`", "yes" if info.is_required() else "no", default, info.description or ""
