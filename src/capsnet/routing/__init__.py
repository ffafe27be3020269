"""Routing algorithms, one file each: votes of the children in, parents out."""

from capsnet.routing.base import ROUTINGS as ROUTINGS
from capsnet.routing.base import Routing as Routing
from capsnet.routing.base import make_routing as make_routing
from capsnet.routing.dynamic import DynamicRouting as DynamicRouting
from capsnet.routing.dynamic import dynamic_routing as dynamic_routing
from capsnet.routing.inverted_dot_product import InvertedDotProductRouting as InvertedDotProductRouting
from capsnet.routing.inverted_dot_product import inverted_dot_product_routing as inverted_dot_product_routing
from capsnet.routing.max_min import MaxMinRouting as MaxMinRouting
from capsnet.routing.max_min import max_min_routing as max_min_routing
from capsnet.routing.self_attention import SelfAttentionRouting as SelfAttentionRouting
from capsnet.routing.self_attention import self_attention_routing as self_attention_routing
from capsnet.routing.self_routing import SelfRouting as SelfRouting
from capsnet.routing.self_routing import self_routing as self_routing
from capsnet.routing.uniform import UniformRouting as UniformRouting
from capsnet.routing.uniform import uniform_routing as uniform_routing

__all__ = [
    "DynamicRouting",
    "InvertedDotProductRouting",
    "MaxMinRouting",
    "ROUTINGS",
    "Routing",
    "SelfAttentionRouting",
    "SelfRouting",
    "UniformRouting",
    "dynamic_routing",
    "inverted_dot_product_routing",
    "make_routing",
    "max_min_routing",
    "self_attention_routing",
    "self_routing",
    "uniform_routing",
]
