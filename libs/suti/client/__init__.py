"""The typed client of Suti's services: `Suti` for threads, `AsyncSuti` for asyncio. Light: no torch, no broker."""

from suti.client.asynchronous import AsyncSuti
from suti.client.blocking import Suti
from suti.client.endpoints import Endpoints
from suti.client.options import Options, Tls

__all__ = ["AsyncSuti", "Endpoints", "Options", "Suti", "Tls"]
