"""Everything that presents results: tables, plots, pages and model cards."""
