"""What is written to the store is read back; only the first of two conditional writes wins."""

import uuid

from pydantic_settings import SettingsConfigDict

from suti.infra.settings import ServiceSettings


class ProbeSettings(ServiceSettings):
    """Who is asking."""

    model_config = SettingsConfigDict(env_prefix="SUTI_PROBE_", frozen=True, env_ignore_empty=True)


store, key = ProbeSettings().open_store(), f"probe/{uuid.uuid4()}"
first, second = store.create(key, b"first"), store.create(key, b"second")
found = store.get(key)
store.delete(key)
if (first, second, found) != (True, False, b"first"):
    raise SystemExit(
        f"the store does not refuse a second conditional write ({first}, {second}, {found!r}): use one that does"
    )
print("written, read and deleted:", key)
