"""The configuration of a model that trains in a second, for tests of the programs that use one."""


def small_config(log_interval):
    return {
        "model": {
            "width": 16, "projection_width": 8, "vocabulary_size": 0, "feature_width": 0,
            "text": {"layers": 1, "heads": 2, "feed_forward": 32},
            "image": {"layers": 1, "heads": 2, "feed_forward": 32},
            "cross": {"layers": 1, "heads": 2, "width": 16},
            "co_transformer": {"layers": 1, "heads": 2},
        },
        "loader": {"batch_size": 8},
        "trainer": {"epochs": 2, "device": "cpu", "log_interval": log_interval, "threads": 1},
    }
