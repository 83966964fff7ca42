"""The `smolstudio` command and the Streamlit UI; both only call synth, recipes and evaluate."""
