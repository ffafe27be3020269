"""Routing algorithms, one file each: votes of the children in, parents out."""

from capsnet.registry import import_modules
from capsnet.routing.base import ROUTINGS as ROUTINGS
from capsnet.routing.base import Routing as Routing
from capsnet.routing.base import check_options as check_options
from capsnet.routing.base import list_options as list_options
from capsnet.routing.base import make_routing as make_routing
from capsnet.routing.base import own_iterations as own_iterations
from capsnet.routing.base import takes_iterations as takes_iterations
from capsnet.routing.behaviour_to_interest import behaviour_to_interest_routing as behaviour_to_interest_routing
from capsnet.routing.behaviour_to_interest import count_interests as count_interests
from capsnet.routing.behaviour_to_interest import draw_logits as draw_logits
from capsnet.routing.dynamic import DynamicRouting as DynamicRouting
from capsnet.routing.dynamic import dynamic_routing as dynamic_routing
from capsnet.routing.em import EMRouting as EMRouting
from capsnet.routing.em import em_routing as em_routing
from capsnet.routing.heinsen import HeinsenRouting as HeinsenRouting
from capsnet.routing.heinsen import heinsen_routing as heinsen_routing
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
from capsnet.routing.variational_bayes import VariationalBayesRouting as VariationalBayesRouting
from capsnet.routing.variational_bayes import variational_bayes_routing as variational_bayes_routing

import_modules(__name__)


__all__ = [
    "DynamicRouting",
    "EMRouting",
    "HeinsenRouting",
    "InvertedDotProductRouting",
    "MaxMinRouting",
    "ROUTINGS",
    "Routing",
    "SelfAttentionRouting",
    "SelfRouting",
    "UniformRouting",
    "VariationalBayesRouting",
    "behaviour_to_interest_routing",
    "check_options",
    "count_interests",
    "draw_logits",
    "dynamic_routing",
    "em_routing",
    "heinsen_routing",
    "inverted_dot_product_routing",
    "list_options",
    "make_routing",
    "own_iterations",
    "max_min_routing",
    "self_attention_routing",
    "self_routing",
    "takes_iterations",
    "uniform_routing",
    "variational_bayes_routing",
]
