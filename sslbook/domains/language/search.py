"""A search box: products, queries and what people say of the answers; who finds what, and how sure one can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from sslbook.data.card import DataCard, Described, own_data_card
from sslbook.data.errors import DataError
from sslbook.data.tables import Table, check_columns, read_table, table_of, words_of
from sslbook.extras import package

BEST_GRADE = 10  # grades above would count more than a thousand times the lowest


@dataclass(frozen=True, eq=False)
class ProductSearch(Described):
    """A catalogue, queries, and grades of some products for some queries.

    Parameters
    ----------
    ids, titles, descriptions : str object arrays (n,); a description may be empty.
    queries : str object array (q,).
    judged : csr_array (q, n), 1 + grade where somebody judged, so that a grade of 0 is stored, too.
    data_card : source, licence and known problems.
    raters : the same of single people, where the data tell.

    Raises
    ------
    DataError : parts of unequal length, an id or a query twice, or no product.
    """

    ids: np.ndarray
    titles: np.ndarray
    descriptions: np.ndarray
    queries: np.ndarray
    judged: csr_array
    data_card: DataCard
    raters: tuple[csr_array, ...] = ()

    def __post_init__(self) -> None:
        if not len(self):
            raise DataError(f"{self.name} has no product; give some.")
        for what in ("ids", "descriptions"):
            if len(getattr(self, what)) != len(self):
                raise DataError(f"{self.name} has {len(self)} titles but {len(getattr(self, what))} {what}.")
        for what, given in (("product", self.ids), ("query", self.queries)):
            for twice in pd.Series(given, dtype=object)[pd.Series(given, dtype=object).duplicated()][:1]:
                raise DataError(f"{self.name} has the {what} {twice!r} twice; keep one.")
        for grades in (self.judged, *self.raters):
            if grades.shape != (len(self.queries), len(self)):
                raise DataError(f"Grades of {self.name} are {grades.shape}, not {(len(self.queries), len(self))}.")

    def __len__(self) -> int:
        return len(self.titles)

    def __repr__(self) -> str:
        asked = f"{len(self.queries)} queries, {self.judged.nnz:,} grades"
        return f"ProductSearch({self.name}: {len(self):,} products, {asked})"

    def asked(self, index: np.ndarray) -> ProductSearch:
        """The same catalogue with some of the queries, by position."""
        raters = tuple(grades[index] for grades in self.raters)
        return replace(self, queries=self.queries[index], judged=self.judged[index], raters=raters)

    @property
    def texts(self) -> list[str]:
        """Title and description of each product, as one text."""
        return [f"{a}. {b}" if b else a for a, b in zip(self.titles, self.descriptions, strict=True)]

    def counts(self) -> pd.DataFrame:
        """Products, queries, judged pairs, and how many of each grade."""
        grades = pd.Series(self.judged.data - 1).value_counts().sort_index()
        row = {"products": len(self), "queries": len(self.queries), "judged": self.judged.nnz}
        return pd.DataFrame([row | {f"grade {grade:g}": int(n) for grade, n in grades.items()}], index=[self.name])

    def _repr_html_(self) -> str:
        return f"{self.data_card._repr_html_()}{self.counts().to_html()}"

    @classmethod
    def from_csv(
        cls, products: Path | str, ratings: Path | str | None = None, queries: Sequence[str] = (), id: str = "id",
        title: str = "title", description: str | None = None, query: str = "query", product: str = "product",
        rating: str = "rating",
    ) -> ProductSearch:  # fmt: skip
        """Read tables of products and of ratings (.csv or .parquet); parameters as for ``from_frames``."""
        goods = read_table(products, text=(id, title, description))
        grades = None if ratings is None else read_table(ratings, text=(query, product))
        card = own_data_card(Path(products).stem, f"Table {Path(products).name}", ())
        return _assemble(goods, grades, queries, (id, title, description), (query, product, rating), card)

    @classmethod
    def from_frames(
        cls, products: pd.DataFrame, ratings: pd.DataFrame | None = None, queries: Sequence[str] = (), id: str = "id",
        title: str = "title", description: str | None = None, query: str = "query", product: str = "product",
        rating: str = "rating", data_card: DataCard | None = None,
    ) -> ProductSearch:  # fmt: skip
        """Take tables in memory.

        Parameters
        ----------
        products : one row for each, with the columns ``id``, ``title`` and, if wanted, ``description``.
        ratings : one row for each judged pair, with the columns ``query``, ``product`` (an id) and ``rating``: numbers
            from 0, useless, upwards. Of a pair that is judged several times the mean is taken. None: nobody judged.
        queries : more queries, without a judgement.

        Raises
        ------
        DataError : a column or a title is missing, an id is there twice, or a rating is no number from 0 to 10.
        """
        grades = None if ratings is None else table_of(ratings, "the table of ratings")
        card = data_card or own_data_card("own search", "Own search", ())
        columns = (id, title, description), (query, product, rating)
        return _assemble(table_of(products, "the table of products"), grades, queries, *columns, card)


def _assemble(
    goods: Table, grades: Table | None, queries: Sequence[str], of_goods: tuple[str | None, ...],
    of_grades: tuple[str, ...], card: DataCard,
) -> ProductSearch:  # fmt: skip
    id, title, description = of_goods
    check_columns(goods, of_goods, "id, title and description")
    ids, titles = words_of(goods.frame[id]), words_of(goods.frame[title])
    for column, values in ((id, ids), (title, titles)):
        goods.refuse(values.isna(), f"no {column}", "fill it in or delete the row")
    goods.refuse(ids.duplicated(), f"an {id} that an earlier row has", "keep one row for each product", ids)
    told = pd.Series("", ids.index) if description is None else words_of(goods.frame[description]).fillna("")
    asked, problems = list(dict.fromkeys(queries)), []
    pairs = pd.DataFrame({"query": [], "product": [], "grade": []})
    if grades is not None:
        pairs = _grades(grades, of_grades, dict(zip(ids, range(len(ids)), strict=True)), problems)
        asked = list(dict.fromkeys([*pairs["query"], *asked]))
    place = pairs["query"].map({query: i for i, query in enumerate(asked)}).to_numpy(dtype=np.int64)
    cells = place, pairs["product"].to_numpy(dtype=np.int64)
    judged = csr_array((1 + pairs["grade"].to_numpy(dtype=np.float64), cells), shape=(len(asked), len(ids)))
    parts = (ids.to_numpy(dtype=object), titles.to_numpy(dtype=object), told.to_numpy(dtype=object))
    return ProductSearch(*parts, np.array(asked, dtype=object), judged, card.noting(*problems))


def _grades(table: Table, columns: tuple[str, ...], place: dict[str, int], problems: list[str]) -> pd.DataFrame:
    """Mean grade of each judged pair; ratings of products that are not in the catalogue are counted and left out."""
    query, product, rating = columns
    check_columns(table, columns, "query, product and rating")
    asked, grade = words_of(table.frame[query]), pd.to_numeric(table.frame[rating], errors="coerce")
    table.refuse(asked.isna(), f"no {query}", "fill it in or delete the row")
    bad = ~grade.between(0, BEST_GRADE).to_numpy()
    table.refuse(bad, f"a {rating} that is not from 0 to {BEST_GRADE}", "correct it", table.frame[rating])
    known = words_of(table.frame[product]).map(place)
    if known.isna().any():
        problems.append(f"{known.isna().sum():,} ratings of products that are not in the catalogue were left out.")
    pairs = pd.DataFrame({"query": asked, "product": known, "grade": grade}).dropna()
    means = pairs.groupby(["query", "product"], sort=False, as_index=False)["grade"].mean()
    if len(means) < len(pairs):
        problems.append(f"{len(pairs) - len(means):,} ratings repeat a pair: the mean is taken.")
    return means


def ndcg_of_search(scores: np.ndarray, search: ProductSearch, k: int = 10, unjudged: float | None = 0.0) -> np.ndarray:
    """NDCG at k of each query with graded gains (Jarvelin and Kekalainen 2002): 2^grade - 1 over log2(1 + place).

    Parameters
    ----------
    scores : float array (q, n); of equal ones the first in the catalogue leads.
    unjudged : grade of products that nobody has judged, also in the best list; None ranks the judged ones only.

    Returns
    -------
    float array (q,), NaN of a query without a judged product of a grade above 0
    """
    found, weight = np.full(len(search.queries), np.nan), 1 / np.log2(2 + np.arange(k))
    for i, row in enumerate(np.asarray(scores)):
        known = search.judged.indices[search.judged.indptr[i] : search.judged.indptr[i + 1]]
        grade = search.judged.data[search.judged.indptr[i] : search.judged.indptr[i + 1]] - 1
        if not (grade > 0).any():
            continue
        gains = np.full(len(row), np.nan if unjudged is None else 2**unjudged - 1)
        gains[known] = 2**grade - 1
        order = np.argsort(-row, kind="stable")
        ranked = gains[order][~np.isnan(gains[order])][:k]
        best = np.sort(gains[~np.isnan(gains)])[::-1][:k]
        found[i] = (ranked * weight[: len(ranked)]).sum() / (best * weight[: len(best)]).sum()
    return found


def recall_of_search(scores: np.ndarray, search: ProductSearch, k: int = 10) -> np.ndarray:
    """Share of the products with a grade above 0 that stand among the first k, out of as many as k places can hold.

    Parameters
    ----------
    scores : float array (q, n); of equal ones the first in the catalogue leads.

    Returns
    -------
    float array (q,), NaN of a query without such a product
    """
    good = (search.judged > 1).toarray()
    top = np.argsort(-np.asarray(scores), axis=1, kind="stable")[:, :k]
    with np.errstate(invalid="ignore"):
        return np.take_along_axis(good, top, axis=1).sum(axis=1) / np.minimum(good.sum(axis=1), k)


def share_of_perfect(
    scores: np.ndarray, search: ProductSearch, k: int = 10, unjudged: float = 0.0, best: float = 3.0
) -> np.ndarray:
    """Gain of the first k products, each over log2(1 + place), as a share of that of k products of the best grade.

    What it is divided by does not depend on who was judged, as it does in NDCG: with the lowest and the highest grade
    for the unjudged products it bounds what a complete judgement would give.

    Parameters
    ----------
    scores : float array (q, n); of equal ones the first in the catalogue leads.
    unjudged : grade of products that nobody has judged.

    Returns
    -------
    float array (q,)
    """
    top = np.argsort(-np.asarray(scores), axis=1, kind="stable")[:, :k]
    grade = np.take_along_axis(search.judged.toarray(), top, axis=1) - 1
    weight = 1 / np.log2(2 + np.arange(top.shape[1]))
    return (2 ** np.where(grade < 0, unjudged, grade) - 1) @ weight / ((2**best - 1) * weight.sum())


def judged_share(scores: np.ndarray, search: ProductSearch, k: int = 10) -> np.ndarray:
    """Share of the first k products of each query that somebody has judged, float array (q,)."""
    top = np.argsort(-np.asarray(scores), axis=1, kind="stable")[:, :k]
    return np.take_along_axis((search.judged > 0).toarray(), top, axis=1).mean(axis=1)


class BM25:
    """Okapi BM25 (Robertson and Zaragoza 2009) of texts, by the stems of their words.

    Words are of two characters or more, in lower case, without their endings (Porter's stemmer for English, so that
    *printers* finds a *printer*); common English ones do not count.

    Parameters
    ----------
    texts : what is looked for, n of them.
    k1 : how much a second mention of a word still counts.
    b : how much a long text must mention a word more often: 0 not at all.

    Raises
    ------
    ModuleNotFoundError
        If the packages are not installed.
    """

    def __init__(self, texts: Sequence[str], k1: float = 1.5, b: float = 0.75):
        self.library, self.count = package("bm25s", "language"), len(texts)
        self.stemmer = package("Stemmer", "language").Stemmer("english")
        self.index = self.library.BM25(k1=k1, b=b, method="lucene")
        self.index.index(self._words(texts), show_progress=False)

    def __call__(self, queries: Sequence[str]) -> np.ndarray:
        """Score each text for each query, float32 (q, n); 0 where no word is shared."""
        words = self._words(queries, return_ids=False)
        empty = np.zeros(self.count, np.float32)
        return np.stack([self.index.get_scores(query) if query else empty for query in words])

    def _words(self, texts: Sequence[str], **more: bool) -> object:
        return self.library.tokenize(list(texts), stemmer=self.stemmer, show_progress=False, **more)


def fused(scores: Sequence[np.ndarray], weights: Sequence[float] | None = None, k: float = 60.0) -> np.ndarray:
    """Reciprocal rank fusion (Cormack et al. 2009): the sum of weight / (k + place), float array (q, n).

    Parameters
    ----------
    scores : float arrays (q, n), one for each method; their scales do not matter.
    k : the larger, the less the first places stand out.
    """
    weights = np.ones(len(scores)) if weights is None else weights
    places = [np.argsort(np.argsort(-s, axis=1, kind="stable"), axis=1) for s in scores]
    return sum(w / (k + 1 + place) for w, place in zip(weights, places, strict=True))
