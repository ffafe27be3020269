"""Routing algorithms, one file each: votes of the children in, parents out."""

from capsnet.routing.base import ROUTINGS as ROUTINGS
from capsnet.routing.base import Routing as Routing
from capsnet.routing.base import make_routing as make_routing
from capsnet.routing.dynamic import DynamicRouting as DynamicRouting
from capsnet.routing.dynamic import dynamic_routing as dynamic_routing

__all__ = ["ROUTINGS", "DynamicRouting", "Routing", "dynamic_routing", "make_routing"]
