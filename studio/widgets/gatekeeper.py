"""The password of a shared studio. Teams that want accounts use Streamlit's own OIDC instead (see README)."""

from __future__ import annotations

import hmac
import os
import time

import streamlit as st

from studio.serving.server import PASSWORD, SHARED

WAIT_SEC = 1.0


def admitted() -> bool:
    """Whether this session may see the studio: always on this machine only, after the password when shared."""
    if not os.environ.get(SHARED) or st.session_state.get("admitted"):
        return True
    st.title("smolstudio")
    with st.form("password"):
        given = st.text_input("Password", type="password")
        if st.form_submit_button("Enter", type="primary"):
            if hmac.compare_digest(given.encode(), os.environ.get(PASSWORD, "").encode()):
                st.session_state["admitted"] = True
                st.rerun()
            time.sleep(WAIT_SEC)  # slows guessing; the session is this visitor's own
            st.error("That is not the password.")
    return False
