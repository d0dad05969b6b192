"""The order of trials and their assignment to worker groups and nodes. Pure: the code uses neither Ray nor torch."""
