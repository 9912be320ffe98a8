"""The distribution API: resolve, retag, referrers, auth. No daemon."""
