"""The words a made catalogue is written with: categories, shapes, materials, styles, invented brands."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One category: how often it is sold, what it costs, and what its products can be like."""

    category: str
    department: str
    share: float
    """Relative number of products."""
    price: float
    """Typical price."""
    shapes: dict[str, str]
    """Shape, as in `silhouettes.SILHOUETTES` → the noun that names it in a text."""
    noun: str
    """The noun when the text leaves the shape out."""
    materials: tuple[str, ...]
    plain: float
    """Share of products without a pattern."""


_CLOTH = ("cotton", "organic cotton", "linen", "viscose")
_CERAMIC = ("ceramic", "stoneware", "porcelain", "glass")

KINDS = (
    Kind("t-shirt", "Clothing", 1.6, 24, {
        "crew-neck": "crew-neck tee", "v-neck": "V-neck tee", "long-sleeved": "long-sleeved top",
    }, "t-shirt", (*_CLOTH, "bamboo jersey"), 0.45),
    Kind("sweater", "Clothing", 1.1, 58, {
        "crew-neck": "crew-neck sweater", "turtleneck": "turtleneck", "cardigan": "cardigan",
    }, "knit", ("merino wool", "lambswool", "cotton", "alpaca blend"), 0.5),
    Kind("jacket", "Clothing", 0.9, 110, {
        "bomber": "bomber jacket", "hooded": "hooded jacket", "long": "long coat",
    }, "jacket", ("denim", "wool blend", "recycled nylon", "leather"), 0.65),
    Kind("dress", "Clothing", 1.4, 64, {
        "mini": "mini dress", "maxi": "maxi dress", "shift": "shift dress",
    }, "dress", (*_CLOTH, "silk"), 0.3),
    Kind("trousers", "Clothing", 1.3, 56, {
        "straight": "straight trousers", "wide-leg": "wide-leg trousers", "shorts": "shorts",
    }, "bottoms", ("cotton", "linen", "denim", "wool blend"), 0.65),
    Kind("skirt", "Clothing", 0.7, 44, {
        "mini": "mini skirt", "pleated": "pleated skirt", "pencil": "pencil skirt",
    }, "skirt", (*_CLOTH, "denim"), 0.4),
    Kind("sneakers", "Shoes", 1.0, 82, {
        "low-top": "low-top sneakers", "high-top": "high-top sneakers", "slip-on": "slip-on sneakers",
    }, "sneakers", ("canvas", "leather", "recycled mesh", "suede"), 0.7),
    Kind("boots", "Shoes", 0.8, 125, {
        "ankle": "ankle boots", "knee-high": "knee-high boots", "chelsea": "Chelsea boots",
    }, "boots", ("leather", "suede", "vegan leather", "rubber"), 0.85),
    Kind("handbag", "Bags", 1.0, 74, {
        "tote": "tote bag", "satchel": "satchel", "bucket": "bucket bag",
    }, "handbag", ("leather", "vegan leather", "canvas", "raffia"), 0.6),
    Kind("backpack", "Bags", 0.6, 68, {
        "classic": "backpack", "roll-top": "roll-top backpack",
    }, "daypack", ("canvas", "recycled nylon", "leather", "waxed cotton"), 0.65),
    Kind("hat", "Accessories", 0.7, 29, {
        "cap": "cap", "beanie": "beanie", "wide-brimmed": "wide-brimmed hat",
    }, "hat", ("cotton", "wool", "straw", "felt"), 0.65),
    Kind("mug", "Home", 0.9, 16, {
        "straight": "straight mug", "rounded": "rounded mug", "tumbler": "tumbler",
    }, "cup", (*_CERAMIC[:3], "enamel"), 0.4),
    Kind("vase", "Home", 0.6, 38, {
        "bottle": "bottle vase", "round": "round vase", "amphora": "amphora vase",
    }, "vase", _CERAMIC, 0.5),
    Kind("lamp", "Home", 0.6, 88, {
        "table": "table lamp", "floor": "floor lamp", "dome": "dome lamp",
    }, "lamp", ("linen", "brass", "paper", "glass"), 0.6),
    Kind("cushion", "Home", 0.9, 27, {
        "square": "square cushion", "round": "round cushion", "lumbar": "lumbar cushion",
    }, "cushion", ("velvet", "linen", "cotton", "wool"), 0.35),
    Kind("chair", "Home", 0.5, 165, {
        "dining": "dining chair", "armchair": "armchair", "stool": "stool",
    }, "seat", ("oak", "beech", "velvet", "rattan"), 0.7),
)
"""Every category of the marketplace."""

STYLES = {
    "classic": "A timeless piece that goes with what you already own.",
    "minimalist": "Clean lines and nothing that does not need to be there.",
    "relaxed": "Easy-going and unfussy, for slow weekends.",
    "vintage": "Inspired by flea-market finds of the seventies.",
    "sporty": "Made to move, from the morning commute to the evening run.",
    "elegant": "Refined details that dress up any occasion.",
    "bohemian": "Free-spirited and full of character.",
    "rustic": "An honest, handmade feel with small irregularities.",
    "playful": "A cheerful piece that makes people smile.",
}
"""Style → the sentence a description says it with."""

PATTERN_WORDS = {
    "stripes": "striped", "checks": "checked", "dots": "dotted", "chevron": "chevron", "floral": "floral",
}
"""Pattern → how a title says it."""

CARE = {
    "Clothing": ("Machine wash cold.", "Wash with like colours.", "Hand wash only.", "Reshape while damp."),
    "Shoes": ("Wipe with a damp cloth.", "Comes with a dust bag.", "True to size.", "Padded insole."),
    "Bags": ("Inner zip pocket.", "Fits a 13-inch laptop.", "Adjustable strap.", "Wipe with a damp cloth."),
    "Accessories": ("One size.", "Packs flat for travel.", "Lined for comfort.", "Spot clean only."),
    "Home": ("Made in small batches.", "Finished by hand.", "Ready to use.", "Packed without plastic."),
}
"""Department → practical sentences."""

SERIES = (
    "Alma", "Anouk", "Arlo", "Bergen", "Birch", "Calla", "Cleo", "Dune", "Edda", "Elio", "Esme", "Fern", "Fjord",
    "Greta", "Hana", "Ines", "Isla", "Juno", "Kaia", "Kite", "Lark", "Lena", "Linnea", "Lumi", "Maren", "Milo", "Mira",
    "Nell", "Nico", "Noor", "Odile", "Oslo", "Otis", "Pim", "Quinn", "Romy", "Runa", "Saga", "Selma", "Sol", "Tilda",
    "Toma", "Uma", "Vera", "Wilma", "Yara", "Zadie", "Zora",
)
"""Names of models within a brand."""

BRAND_STARTS = (
    "Al", "Bel", "Cor", "Dra", "El", "Fen", "Gal", "Hol", "Il", "Jun", "Kel", "Lor", "Mar", "Nor", "Or", "Pel", "Quil",
    "Ros", "Sol", "Tav", "Ul", "Var", "Wen", "Yll", "Zan",
)
BRAND_ENDS = (
    "dane", "vik", "mora", "lind", "brook", "esco", "ette", "haus", "ina", "wick", "ora", "sen", "tide", "ley",
)
BRAND_SUFFIXES = ("", "", "", " Studio", " & Co", " Atelier", " Goods", " Works")
"""Invented brands are a start, an end and a suffix."""

PLACES = ("Harbour", "Mill", "Garden", "Corner", "Market", "Old Town", "Riverside", "Hilltop", "Station", "Orchard")
TRADES = ("Traders", "Outlet", "Boutique", "Supply", "Store", "House", "Makers", "Collective", "Depot", "Gallery")
"""Invented sellers are a place, a trade and a number."""

SEGMENTS = ("minimalists", "bargain hunters", "trend seekers", "nest builders", "outdoor people", "collectors")
"""User segments; each has tastes of its own."""

AGE_BANDS = ("18-24", "25-34", "35-44", "45-54", "55-64", "65+")
