"""The forms of Azure Monitor's Log Analytics query API: what it is asked, and how it answers. No I/O."""
