"""Settings that tune.py tries for each method, the default first: what differs from the configuration."""
CANDIDATES = {
    "cfa": ([{}] + [{"residual": r} for r in (0.25, 0.5, 2.0, 4.0, 8.0, 1000.0)]
            + [{"levels": [{"k": [k], "alpha": a}]} for k in (3, 5, 8, 12, 20, 30, 50, 100) for a in (0.8, 0.95)]),
    "alpha_qe": [{}] + [{"k": k, "alpha": a} for k in (3, 5, 20, 50) for a in (0.0, 3.0)],
    "dba": [{}] + [{"k": k} for k in (1, 3, 5, 10, 50)],
    "k_reciprocal": [{}] + [{"k1": a, "k2": b} for a, b in ((6, 2), (12, 3), (40, 8), (80, 12))],
    "gnn_rerank": [{}] + [{"k1": a, "k2": b} for a, b in ((6, 2), (10, 3), (40, 6), (80, 12))],
    "gcr": [{}] + [{"k": k} for k in (3, 6, 30, 60)],
    "offline_diffusion": [{}] + [{"k": k} for k in (5, 10, 20)],
}
