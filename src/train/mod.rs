//! Training and measuring networks: data sets, fitting, metrics, reports.
