"""Published re-rankers under one contract: a `Market` and a strength → the slots of every list."""

from types import MappingProxyType

from ltexpo.rerank.peers.alpha_fair import AlphaFair
from ltexpo.rerank.peers.amortised import Amortised
from ltexpo.rerank.peers.calibrated_popularity import CalibratedPopularity
from ltexpo.rerank.peers.cpfair import CPFair
from ltexpo.rerank.peers.dpp import DPP
from ltexpo.rerank.peers.fa_ir import FaIr
from ltexpo.rerank.peers.fairco import FairCo
from ltexpo.rerank.peers.fairrec import FairRec
from ltexpo.rerank.peers.generalised_gini import GeneralisedGini
from ltexpo.rerank.peers.min_regularizer import MinRegularizer
from ltexpo.rerank.peers.mmr import MMR
from ltexpo.rerank.peers.p_mmf import PMMF
from ltexpo.rerank.peers.peer import Market, Peer
from ltexpo.rerank.peers.plain import Plain
from ltexpo.rerank.peers.popularity_penalty import PopularityPenalty
from ltexpo.rerank.peers.tax_rank import TaxRank
from ltexpo.rerank.peers.xquad import XQuad

_ALL: tuple[Peer, ...] = (
    Plain(),
    PopularityPenalty(),
    XQuad(smooth=False),
    XQuad(smooth=True),
    CalibratedPopularity(),
    FaIr(),
    FairRec(plus=False),
    FairRec(plus=True),
    CPFair(),
    PMMF(capped=True),
    PMMF(capped=False),
    MinRegularizer(),
    AlphaFair(),
    TaxRank(),
    GeneralisedGini(),
    FairCo(merit="relevance"),
    FairCo(merit="due"),
    Amortised(merit="relevance"),
    Amortised(merit="due"),
    MMR(),
    DPP(),
)

PEERS = MappingProxyType({peer.name: peer for peer in _ALL})
"""Every method by name, with the settings of its paper."""

__all__ = ["PEERS", "Market", "Peer"]
