"""Fraud and risk: tables of payments or claims, cut by time, and the cards or policies they belong to."""

import lazy_loader

# Each module is imported when one of its names is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=("catalog", "data"),
    submod_attrs={
        "aggregates": ["card_aggregates", "rarity"],
        "alerts": ["alert_outcomes", "card_day_metrics", "rank_card_days"],
        "data": ["TransactionSplit", "Transactions", "cut_creditcard"],
        "methods": ["draw_findings", "event_codes"],
        "widgets": ["alert_budget_slider", "alert_report"],
    },
)
