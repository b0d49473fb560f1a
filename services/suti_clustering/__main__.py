"""The clustering service: settings, wiring, serve."""

from suti.infra.service import run_service
from suti_clustering.settings import ClusteringSettings
from suti_clustering.wiring import wire

if __name__ == "__main__":
    run_service("suti_clustering", ClusteringSettings, wire)
