"""Rows written by models, in named steps from seeds to a dataset: `smolstudio pipeline run NAME`.

candidate   what flows through the steps, and what was rejected
spec        the YAML file of a pipeline, found by name or path
prompts     templates, in files beside it
asking      a teacher's answers, many at once, in the order of the questions
engine      the steps as one stream, with counts and rejected files
steps/      the kinds of steps
plan        what a run was asked for
routing     which of several teachers writes which rows
work        the folder of one run, and the dataset that it ends in
forecast    the first rows, and what the whole would cost
shipped/    pipelines that come with smolstudio
"""
