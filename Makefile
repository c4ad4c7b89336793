# make demo: from nothing to pictures of a reconstruction; make test: every check;
# make wheels: our packages as files in dist/, for `pip install --find-links dist`.
# A second run takes the environments of the first; `make test NOXFLAGS=--reuse-venv=no` makes new ones.
NOXFLAGS ?= --reuse-venv=yes
NOX = .venv/bin/python -m nox $(NOXFLAGS)

.PHONY: demo test wheels clean

demo: .venv/ready
	$(NOX) -s demo

test: .venv/ready
	$(NOX)

wheels: .venv/ready
	$(NOX) -s build

# Where a system's Python comes without ensurepip, `venv` fails and virtualenv stands in.
.venv/ready: constraints.txt
	@python=$$(PYTHON="$(PYTHON)" sh .ci/python) && \
	{ "$$python" -m venv --clear .venv >/dev/null 2>&1 || { \
	    "$$python" -m pip install --quiet --upgrade --target .bootstrap -c constraints.txt virtualenv && \
	    PYTHONPATH=.bootstrap "$$python" -m virtualenv --quiet --clear .venv; }; }
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt nox
	touch $@

clean:
	rm -rf .bootstrap .nox .venv demo dist
