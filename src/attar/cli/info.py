"""attar info: what a model file holds."""

from __future__ import annotations

import json
from typing import Any

from attar.cli import arguments


def info(model: arguments.Model, as_json: arguments.Json = False) -> None:
    """Print what a model file holds."""
    from attar import storage

    tensors, facts = storage.read(model)
    weights = sum(t.numel() for name, t in tensors.items() if name.startswith("model."))
    known: dict[str, Any] = {
        "file": str(model),
        "fingerprint": storage.fingerprint(model),
        "bytes": model.stat().st_size,
        "format": storage.FORMAT,
        "data": facts["kind"],
        "recipe": facts["recipe"],
        "network": facts["network"],
        "likelihood": facts["likelihood"],
        "code_size": facts["code_size"],
        "weights": weights,
        "epochs": len(facts["history"]),
        "held_out_error": facts["facts"]["error"],
        "choices": facts["choices"],
    }
    if as_json:
        print(json.dumps(known))
        return
    for name, value in known.items():
        print(f"{name:16} {_words(value)}")


def _words(value: Any) -> str:
    """Return a value on one line: a part as an expression, a choice with its reason."""
    if isinstance(value, list):
        return ", ".join(_words(item) for item in value)
    if not isinstance(value, dict):
        return f"{value:,}" if type(value) is int else str(value)
    if "reason" in value:
        return f"{value['setting']} {value['value']} ({value['reason']})"
    name = str(value.get("part", value.get("name"))).rpartition("/")[2]
    inner = [f"{k}={_words(v)}" for k, v in value.items() if k not in ("part", "name") and v]
    text = ", ".join(inner)
    return f"{name}({text if len(text) < 200 else '...'})"
