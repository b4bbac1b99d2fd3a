"""The life of a privacy request: intake, review, dispatch, cohorts, flow; and the configuration services."""
