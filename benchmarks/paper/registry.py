"""The studies by name, as on the page. To add one, write its file and add it here."""

from __future__ import annotations

from benchmarks.paper.figure3 import Figure3
from benchmarks.paper.figure4 import Figure4, Figure8
from benchmarks.paper.figure6 import Figure6
from benchmarks.paper.figure7 import Figure7
from benchmarks.paper.study import AbstractStudy
from benchmarks.paper.table2 import Table2
from benchmarks.paper.table3 import Table3
from benchmarks.paper.table6 import Table6

FIGURES = (Figure3(), Table2(), Figure4(), Figure6(), Figure7(), Figure8())
TABLES = (Table3(), Table6())
STUDIES: dict[str, AbstractStudy] = {study.name: study for study in (*FIGURES, *TABLES)}
