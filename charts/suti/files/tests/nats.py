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
        heard = asyncio.ensure_future(anext(events))
        while not heard.done():  # again: the first may be there before the server knows of the ears
            await mouth.announce("probe", word="hello")
            await asyncio.wait([heard], timeout=1.0)
        print("heard:", heard.result())


asyncio.run(main())
