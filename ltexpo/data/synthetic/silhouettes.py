"""Category and shape → the outline of a product, as short vector paths on a 100 × 100 sheet.

A path is text in the manner of SVG: ``M x y`` move, ``L x y`` line, ``Q cx cy x y`` and ``C c1 c2 x y`` curves, ``Z``
close; all coordinates absolute. A mirrored silhouette gives its left half only.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Silhouette:
    """What a product's picture is made of: filled areas, and strokes on top of them."""

    body: tuple[str, ...]
    """Areas in the product's colour and pattern."""
    trim: tuple[str, ...] = ()
    """Areas in the accent colour, over the body: soles, handles, cuffs, legs."""
    seams: tuple[str, ...] = ()
    """Fine strokes in a darker shade."""
    bands: tuple[tuple[str, float], ...] = ()
    """Thick strokes in the accent colour, each with its width: straps, handles."""
    holes: tuple[str, ...] = ()
    """Areas where the background shows through."""
    mirrored: bool = True


_TEE = "L32 19 Q22 21 17 31 L9 47 L22 53 L29 43 Q31 62 28 84 Q39 86 50 86 Z"
_LONG_SLEEVE = "L32 19 Q23 21 19 32 L10 76 L20 79 L30 44 Q31 62 28 84 Q39 86 50 86 Z"
_TEE_SEAMS = ("M29 44 Q29 31 33 20", "M28.4 81 Q39 83 50 83")
_KNIT = "L33 19 Q22 22 18 33 L9 75 L21 79 L30 48 L29 82 Q39 84 50 84 Z"
_KNIT_TRIM = ("M10.2 70 L8.8 76 L20.8 80 L22.4 74 Z", "M29 78 Q39 80 50 80 L50 85.5 Q39 85.5 28.8 84 Z")
_KNIT_SEAMS = ("M30 48 Q29 33 34 21", "M33 79 L33 84", "M37 79.6 L37 84.6", "M41 80 L41 85", "M45 80 L45 85")
_JACKET = "M50 20 L41 15 L32 19 Q22 22 18 33 L9 76 L21 80 L29 50"
_JACKET_SEAMS = ("M50 20 L50 90", "M29 50 Q28 34 33 20", "M34 64 L42 60")
_LEG = "M50 16 L31 16 Q28 40"
_SHOE_SEAMS = ("M42 45 L51 41", "M47 50 L56 46", "M52 54 L62 50", "M38 40 Q44 52 60 60")

SILHOUETTES: dict[tuple[str, str], Silhouette] = {
    ("t-shirt", "crew-neck"): Silhouette(
        ("M50 25 Q42 25 40 17 " + _TEE,), seams=(*_TEE_SEAMS, "M50 28.5 Q39.5 28.5 37 18")
    ),
    ("t-shirt", "v-neck"): Silhouette(("M50 36 L40 17 " + _TEE,), seams=(*_TEE_SEAMS, "M50 41 L37 18")),
    ("t-shirt", "long-sleeved"): Silhouette(
        ("M50 25 Q42 25 40 17 " + _LONG_SLEEVE,),
        trim=("M11.2 71 L9.8 76.5 L19.6 79.8 L21.2 74 Z",),
        seams=("M30 45 Q29 31 33 20", "M28.4 81 Q39 83 50 83", "M50 28.5 Q39.5 28.5 37 18"),
    ),
    ("sweater", "crew-neck"): Silhouette(
        ("M50 24 Q43 24 40 17 " + _KNIT,),
        trim=(*_KNIT_TRIM, "M50 24 Q43 24 40 17 L36.5 18 Q39 29 50 29 Z"),
        seams=_KNIT_SEAMS,
    ),
    ("sweater", "turtleneck"): Silhouette(
        ("M50 11 Q44 11 41 10 L40 19 " + _KNIT,),
        trim=(*_KNIT_TRIM, "M50 11 Q44 11 41 9.5 L39.5 21 Q45 23 50 23 Z"),
        seams=(*_KNIT_SEAMS, "M44 11.5 L43.5 21", "M47 12 L47 22"),
    ),
    ("sweater", "cardigan"): Silhouette(
        ("M50 46 L40 17 " + _KNIT,),
        trim=(*_KNIT_TRIM, "M50 46 L40 17 L36.5 18 L47 48 L47 84.6 L50 84.8 Z"),
        seams=(*_KNIT_SEAMS, "M47 49 L47 84", "M33 64 L43 64 L43 74 L33 74 Z"),
    ),
    ("jacket", "bomber"): Silhouette(
        (_JACKET + " L28 78 Q39 80 50 80 Z",),
        trim=(
            "M50 20 L41 15 L38 17 Q40 25 50 27 Z", "M28.4 73 Q39 75.4 50 75.4 L50 81 Q39 81 27.6 79 Z",
            "M10.2 71 L8.8 77 L20.8 81 L22.4 75 Z",
        ),
        seams=("M50 22 L50 81", "M29 50 Q28 34 33 20", "M35 66 L43 60"),
    ),
    ("jacket", "hooded"): Silhouette(
        ("M50 8 Q38 8 37 18 L32 19 Q22 22 18 33 L9 76 L21 80 L29 50 L28 84 Q39 86 50 86 Z",),
        trim=("M50 14 Q43 14 42 20 Q44 26 50 29 Z",),
        seams=(
            "M50 28 L50 86", "M29 50 Q28 34 34 21", "M37 18 Q40 29 50 31", "M33 66 L44 62 L44 76 L33 76 Z",
            "M47 30 L46 42",
        ),
    ),
    ("jacket", "long"): Silhouette(
        ("M50 24 L41 12 L33 15 Q23 18 20 29 L14 68 L24 71 L30 44 L25 93 Q38 95 50 95 Z",),
        trim=("M50 44 L41 12 L37 13.5 L35 26 L40 28 L38 31 Z",),
        seams=("M50 44 L50 94", "M30 44 Q29 29 34 17", "M32 64 L42 62", "M46.6 54 L46.8 54", "M46.6 66 L46.8 66"),
    ),
    ("dress", "mini"): Silhouette(
        ("M50 27 Q43 27 41 16 L36 16 Q37 27 31 34 Q36 44 34 52 L22 80 Q36 85 50 85 Z",),
        trim=("M34.6 49 Q42 51.5 50 51.5 L50 55.5 Q42 55.5 33 53.6 Z",),
        seams=("M42 56 L36 82", "M50 30 Q40.5 30 38.5 16"),
    ),
    ("dress", "maxi"): Silhouette(
        ("M50 26 Q44 24 42 10 L38.5 10 Q39 21 34 27 Q38 35 37 42 Q33 66 24 93 Q37 97 50 97 Z",),
        trim=("M37.2 39 Q43 41 50 41 L50 44.5 Q43 44.5 36.6 43 Z",),
        seams=("M44 45 Q41 72 37 94", "M50 45 L50 96", "M26 86 Q38 91 50 91"),
    ),
    ("dress", "shift"): Silhouette(
        ("M50 22 Q43 22 41 14 L34 16 Q25 19 22 28 L19 40 L29 43 L32 36 Q33 60 28 86 Q39 88 50 88 Z",),
        trim=("M19.8 36.5 L18.6 40.5 L29 43.8 L30 40 Z", "M50 22 Q43 22 41 14 L38.4 15 Q40.6 26 50 26 Z"),
        seams=("M32 36 Q31 27 36 17", "M28.6 83 Q39 85 50 85"),
    ),
    ("trousers", "straight"): Silhouette(
        (_LEG + " 30 90 L46 90 L50 38 Z",),
        trim=("M50 15.5 L31 15.5 L30.6 21 L50 21 Z",),
        seams=("M50 21 L50 38", "M31 29 Q37 28 38 21", "M38 40 L38 89"),
    ),
    ("trousers", "wide-leg"): Silhouette(
        ("M50 15 L34 15 Q30 36 20 91 Q33 93 47 91 L50 42 Z",),
        trim=("M50 14.5 L34 14.5 L33.2 20 L50 20 Z",),
        seams=("M50 20 L50 42", "M33 28 Q39 27 40 20", "M41 32 Q37 62 34 91"),
    ),
    ("trousers", "shorts"): Silhouette(
        ("M50 26 L30 26 Q27 46 22 72 Q34 76 47 74 L50 52 Z",),
        trim=("M50 25.5 L30 25.5 L29.2 31.5 L50 31.5 Z",),
        seams=("M50 31 L50 52", "M28.6 41 Q36 40 37 32", "M23 68.5 Q34 72 47.3 70", "M45 32 L44 40"),
    ),
    ("skirt", "mini"): Silhouette(
        ("M50 28 L34 28 Q28 48 22 74 Q36 79 50 79 Z",),
        trim=("M50 27 L34.2 27 L32.6 34 L50 34 Z",),
        seams=("M41 35 Q38 56 35 77", "M22.8 71 Q36 76 50 76"),
    ),
    ("skirt", "pleated"): Silhouette(
        ("M50 18 L37 18 Q28 48 16 84 L22 87 L27 85 L33 89 L39 86 L45 90 L50 87.5 Z",),
        trim=("M50 17 L37.2 17 L35.6 23 L50 23 Z",),
        seams=("M38 24 Q31 58 22 86", "M41 24 Q37 58 33 88", "M44.6 24 Q43 58 42 87", "M48 24 Q48 58 48 88"),
    ),
    ("skirt", "pencil"): Silhouette(
        ("M50 16 L37 16 Q28 32 29 48 L33 86 Q42 88 50 88 Z",),
        trim=("M50 15 L37.4 15 L35 22 L50 22 Z",),
        seams=("M42 23 L40 40", "M50 68 L50 88"),
    ),
    ("sneakers", "low-top"): Silhouette(
        ("M14 70 Q11 52 17 42 Q21 38 25 42 Q32 47 40 38 Q45 34 50 38 Q58 52 74 56 Q87 59 88 70 Z",),
        trim=(
            "M13 69 L89 69 Q91 76 86 78 L18 78 Q12 78 13 69 Z", "M14 66 Q12 54 16 46 L24 49 Q25 60 22 68 L14 69 Z",
            "M74 69 Q73 61 79 57.4 Q88 60 88.4 69 Z",
        ),
        seams=(*_SHOE_SEAMS, "M30 68 Q36 56 42 50", "M40 68 Q45 60 52 57", "M14 74 L88 74"),
        mirrored=False,
    ),
    ("sneakers", "high-top"): Silhouette(
        ("M18 74 L17 24 Q18 20 30 21 L45 20 Q48 20 49 26 L52 44 Q60 54 75 58 Q87 61 88 74 Z",),
        trim=(
            "M16 73 L89 73 Q91 80 86 82 L20 82 Q15 82 16 73 Z", "M75 73 Q73 64 79 59.4 Q88 63 88.4 73 Z",
            "M17 27 L17 21.5 Q18 20 30 21 L45 20 Q47 20 48 25 Z",
        ),
        seams=(
            "M40 30 L50 33", "M41 38 L51 41", "M45 46 L54 48", "M50 53 L59 52", "M40 26 Q40 52 58 60 L66 72",
            "M28 44 Q24 60 30 72", "M17 78 L88 78",
        ),
        mirrored=False,
    ),
    ("sneakers", "slip-on"): Silhouette(
        ("M13 70 Q10 54 15 46 Q22 40 28 46 Q40 52 52 46 Q60 42 66 47 Q86 53 88 70 Z",),
        trim=(
            "M12 69 L89 69 Q90 76 85 77 L17 77 Q11 77 12 69 Z", "M44 50 Q48 58 46 60 L58 58 Q58 50 55 45 Q50 47 44 50 Z"
        ),
        seams=("M13 73 L88 73", "M66 47 Q58 56 60 68", "M17 47 Q19 58 17 68"),
        mirrored=False,
    ),
    ("boots", "ankle"): Silhouette(
        ("M28 18 Q40 21 53 18 L54 48 Q58 58 72 62 Q84 65 85 76 L28 76 Q24 50 28 18 Z",),
        trim=("M27 75 L86 75 Q87 81 83 81 L46 81 L44 86 L28 86 Z", "M27.6 22 L27.8 17.6 Q40 21 53.2 17.6 L53.2 22 Z"),
        seams=("M54 48 Q44 52 40 75", "M46 24 L46 50"),
        mirrored=False,
    ),
    ("boots", "knee-high"): Silhouette(
        ("M33 6 Q44 9 56 6 L54 50 Q53 62 58 68 Q64 73 75 75 Q84 77 84 84 L35 84 Q36 66 33 46 Q31 28 33 6 Z",),
        trim=("M34 83 L85 83 Q85 88 82 88 L50 88 L47 94 L36 94 Z", "M33 10 L33 5.6 Q44 9 56 5.6 L56 10 Z"),
        seams=("M54 60 Q46 64 44 83", "M34.4 56 Q44 60 54 56"),
        mirrored=False,
    ),
    ("boots", "chelsea"): Silhouette(
        ("M30 24 Q42 27 55 24 L57 52 Q62 60 74 62 Q86 65 87 77 L29 77 Q27 52 30 24 Z",),
        trim=("M28 76 L88 76 Q88 82 84 82 L46 82 L45 85 L29 85 Z", "M37 27 L49 27 L46.5 52 L40 52 Z"),
        seams=("M40 27.4 L42 51", "M43 27.4 L43.4 51", "M46 27.4 L45 51", "M46 53 Q50 66 47 76", "M28 24 L28 17"),
        mirrored=False,
    ),
    ("handbag", "tote"): Silhouette(
        ("M50 40 L20 40 L16 88 Q16 90 19 90 L50 90 Z",),
        trim=("M50 39 L20.2 39 L19.4 47 L50 47 Z",),
        bands=(("M35 45 L36 26 Q38 12 50 12", 3.4),),
        seams=("M33 43.5 L37 43.5", "M19 47.5 L50 47.5", "M18 84 L50 84"),
    ),
    ("handbag", "satchel"): Silhouette(
        ("M50 38 L22 38 Q17 38 16 44 L13 80 Q13 86 19 86 L50 86 Z",),
        trim=("M50 37.4 L22 37.4 Q17 38 16 44 L15.4 52 Q16 62 28 62 L50 62 Z",),
        bands=(("M34 40 Q33 20 50 20", 3.8),),
        seams=("M15.2 53 Q16 63 28 63 L50 63", "M46 56 L50 56 L50 69 L46 69 Z", "M19 58 Q21 59.6 28 59.6 L45 59.6"),
    ),
    ("handbag", "bucket"): Silhouette(
        ("M50 38 Q38 40 28 36 L22 84 Q34 92 50 92 Z",),
        trim=("M22.8 76 L21.6 84.5 Q34 92.5 50 92.5 L50 84 Q34 84 22.8 76 Z",),
        bands=(("M29 40 Q28 8 50 8", 2.6), ("M27.4 46 Q38 50 50 50", 1.6)),
        seams=("M40 51 L38 64", "M34 40 L33 48", "M42 40 L41.6 49"),
    ),
    ("backpack", "classic"): Silhouette(
        ("M50 16 Q30 16 28 36 L24 78 Q24 88 34 88 L50 88 Z",),
        trim=("M50 56 L35 56 Q32 56 32 60 L32 78 Q32 82 36 82 L50 82 Z", "M25 46 Q19 50 19 62 L20 78 L24.4 78 Z"),
        bands=(("M43 17 Q43 8 50 8", 2.6),),
        seams=("M50 26 Q36 26 35 42 L34 50", "M32 62 L50 62", "M44 62 L44 68", "M34 50 L50 50"),
    ),
    ("backpack", "roll-top"): Silhouette(
        ("M50 12 L30 12 Q27 12 27 17 L27 24 L25 84 Q25 90 31 90 L50 90 Z",),
        trim=("M50 12 L30 12 Q26.6 12 26.6 17 L26.6 24 L50 24 Z", "M50 82 L25 82 L25 84 Q25 90.4 31 90.4 L50 90.4 Z"),
        bands=(("M38 24 L38 60", 2.4),),
        seams=("M27 18 L50 18", "M26.6 24.6 L50 24.6", "M32 66 L50 66", "M35.6 56 L40.4 56 L40.4 61 L35.6 61 Z"),
    ),
    ("hat", "cap"): Silhouette(
        ("M20 60 Q18 30 46 26 Q72 26 73 58 Q48 52 20 60 Z",),
        trim=("M44 55 Q70 51 91 63 Q94 67 88 68 Q68 60 43 62 Q36 60 44 55 Z",),
        seams=("M46 26 Q38 38 38 56", "M46 26 Q58 36 60 54.6", "M45.4 25.6 L47.4 25.6"),
        mirrored=False,
    ),
    ("hat", "beanie"): Silhouette(
        ("M50 24 Q25 24 23 62 L50 62 Z",),
        trim=("M50 59 Q35 58 21 60 Q18 68 21 78 Q35 80 50 80 Z", "M50 12 Q43 12 43 19 Q43 26 50 26 Z"),
        seams=(
            "M27 60 L27 78", "M33 59.4 L33 79", "M39 59.4 L39 79", "M45 59.4 L45 79", "M44 27 Q36 38 35 58",
            "M50 26 L50 58",
        ),
    ),
    ("hat", "wide-brimmed"): Silhouette(
        ("M50 28 Q44 24 38 26 Q31 30 30 56 Q12 60 8 68 Q22 77 50 77 Z",),
        trim=("M30.4 50 Q40 54.6 50 54.6 L50 61.6 Q38 61.6 29.6 57 Z",),
        seams=("M43 27 Q46 33 50 34", "M14 68.4 Q28 73.6 50 73.6"),
    ),
    ("mug", "straight"): Silhouette(
        ("M24 28 L66 28 L66 78 Q66 84 59 84 L31 84 Q24 84 24 78 Z",),
        trim=("M24 28 Q24 22 45 22 Q66 22 66 28 Q66 34 45 34 Q24 34 24 28 Z",),
        bands=(("M66 40 Q86 36 86 54 Q86 71 66 68", 5.6),),
        seams=("M28 28 Q28 24.6 45 24.6 Q62 24.6 62 28",),
        mirrored=False,
    ),
    ("mug", "rounded"): Silhouette(
        ("M26 32 L64 32 Q74 58 61 80 Q58 84 52 84 L38 84 Q32 84 29 80 Q16 58 26 32 Z",),
        trim=("M26 32 Q27 27 45 27 Q63 27 64 32 Q63 37 45 37 Q27 37 26 32 Z",),
        bands=(("M67 44 Q88 42 85 58 Q82 70 66 69", 5.2),),
        seams=("M30 32 Q31 29.4 45 29.4 Q59 29.4 60 32",),
        mirrored=False,
    ),
    ("mug", "tumbler"): Silhouette(
        ("M50 22 L27 22 L33 84 Q34 89 39 89 L50 89 Z",),
        trim=("M50 16 Q27 16 27 22 Q27 28 50 28 Z", "M31.6 70 L33 84 Q34 89.4 39 89.4 L50 89.4 L50 70 Z"),
        seams=("M31 22 Q31 18.8 50 18.8",),
    ),
    ("vase", "bottle"): Silhouette(
        ("M50 10 L43 10 Q42 12 44 14 L44 38 Q27 46 27 66 Q27 90 42 90 L50 90 Z",),
        trim=("M50 9 L43 9 Q41 12 43.6 15 L50 15 Z",),
        seams=("M44 38 Q47 40 50 40", "M31 84 Q40 86 50 86"),
    ),
    ("vase", "round"): Silhouette(
        ("M50 24 L39 24 Q37 28 40 32 Q18 40 18 60 Q18 86 40 86 L50 86 Z",),
        trim=("M50 22 L39.6 22 Q35.6 27 40.6 33 L50 33 Z", "M37 84 L36 89 L50 89 L50 84 Z"),
        seams=("M22 50 Q34 54 50 54",),
    ),
    ("vase", "amphora"): Silhouette(
        ("M50 12 L39 12 Q38 15 42 18 L42 28 Q26 33 26 50 Q28 74 42 84 L42 90 L50 90 Z",),
        trim=("M50 11 L39 11 Q36 15 42 19 L50 19 Z", "M41.6 84 L40 91 L50 91 L50 84 Z"),
        bands=(("M41 18 Q22 18 27 42", 3.0),),
        seams=("M26.4 52 Q36 55 50 55", "M29 62 Q38 65 50 65"),
    ),
    ("lamp", "table"): Silhouette(
        ("M50 12 L35 12 L22 50 Q36 54 50 54 Z",),
        trim=("M50 52 L47 52 L47 60 Q34 64 36 76 Q38 84 44 86 L36 88 L36 92 L50 92 Z",),
        seams=("M34 15 Q42 16.6 50 16.6", "M23 47 Q36 51 50 51"),
    ),
    ("lamp", "floor"): Silhouette(
        ("M50 6 L39 6 L31 34 Q40 37 50 37 Z",),
        trim=("M50 36 L48.4 36 L48.4 88 L34 90 Q33 94 36 94 L50 94 Z",),
        seams=("M32 31 Q40 34 50 34", "M45 37 L45 46"),
    ),
    ("lamp", "dome"): Silhouette(
        ("M50 18 Q20 20 16 54 Q32 58 50 58 Z",),
        trim=("M50 56 L46 56 L44 82 Q32 83 30 90 L50 90 Z",),
        seams=("M17 51 Q32 55 50 55", "M26 44 Q28 31 38 26"),
    ),
    ("cushion", "square"): Silhouette(
        ("M50 20 Q32 20 16 14 Q20 32 20 50 Q20 68 16 86 Q32 80 50 80 Z",),
        seams=("M50 23.6 Q34 23.6 21 19 Q24 34 23.6 50 Q24 66 21 81 Q34 76.4 50 76.4",),
    ),
    ("cushion", "round"): Silhouette(
        ("M50 14 Q14 15 14 50 Q14 85 50 86 Z",),
        trim=("M50 46 Q46 46 46 50 Q46 54 50 54 Z",),
        seams=(
            "M46 50 Q30 48 15 50", "M47 47 Q36 34 25 24", "M47 53 Q36 66 25 76", "M50 46 Q49 30 50 15",
            "M50 54 Q49 70 50 85",
        ),
    ),
    ("cushion", "lumbar"): Silhouette(
        ("M50 32 Q28 32 10 27 Q14 39 14 50 Q14 62 10 74 Q28 69 50 69 Z",),
        trim=("M9 26 Q12.6 38 12.6 50 Q12.6 63 9 75 L13.4 73.6 Q17 62 17 50 Q17 39 13.4 27.6 Z",),
        seams=("M18 34 Q34 36 50 36", "M18 66 Q34 65 50 65"),
    ),
    ("chair", "dining"): Silhouette(
        ("M50 10 Q34 10 32 14 L34 44 Q42 46 50 46 Z", "M50 52 L31 52 Q27 52 26 62 Q38 66 50 66 Z"),
        trim=(
            "M27 62 L23 95 L27.4 95 L32.4 64.4 Z", "M42 65.4 L41 84 L44 84 L45.4 65.6 Z",
            "M38 45 L38 53 L41 53 L41 45 Z",
        ),
        seams=("M36 17 Q43 15.6 50 15.6", "M28 58 Q39 61 50 61"),
    ),
    ("chair", "armchair"): Silhouette(
        (
            "M50 16 Q30 15 28 26 L28 62 L50 62 Z", "M50 56 L26 56 L26 74 L50 74 Z",
            "M14 44 Q22 38 27 46 L28 78 L16 78 Q12 60 14 44 Z", "M24 70 L50 70 L50 80 L24 80 Z",
        ),
        trim=("M18 78 L16 93 L20 93 L24 79 Z",),
        seams=("M27 46 L28 78", "M28 58 Q39 56 50 56", "M28 70 L50 70", "M50 22 L50 24"),
    ),
    ("chair", "stool"): Silhouette(
        ("M50 30 Q24 30 24 38 L24 45 Q26 52 50 52 Z",),
        trim=(
            "M28 49 L20 92 L24.6 92 L33 51 Z", "M44 52 L43 84 L46 84 L47 52 Z", "M24.8 72 L50 72 L50 75.4 L24.2 75.4 Z"
        ),
        seams=("M24 39 Q28 46 50 46",),
    ),
}
"""(category, shape) → silhouette; the vocabulary's shapes are exactly these."""
