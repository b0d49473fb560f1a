"""What one connection says on the bus, another hears."""

import asyncio

from pydantic_settings import SettingsConfigDict

from suti.infra.settings import ServiceSettings


class ProbeSettings(ServiceSettings):
    """Who is asking."""

    model_config = SettingsConfigDict(env_prefix="SUTI_PROBE_", frozen=True, env_ignore_empty=True)


async def main() -> None:
    """Ends with an error unless the announcement comes back."""
    settings = ProbeSettings()
    async with (
        await settings.connect_bus("probe") as ears,
        await settings.connect_bus("probe") as mouth,
        ears.listen("probe") as events,
        asyncio.timeout(30),
    ):
        await mouth.announce("probe", word="hello")
        print("heard:", await anext(events))


asyncio.run(main())
