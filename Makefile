# SkySense for QGIS. `make demo` shows it, `make test` checks it; both set up what they need.
.PHONY: setup demo test soak lint install package screenshots lock clean

setup:
	@bash tools/setup.sh

demo: setup
	@.venv/bin/python demo/run_demo.py

test: setup
	@bash tools/test.sh

soak: setup  # pretraining killed at twenty moments by chance ends as if it never was
	@SKYSENSE_KILLS=20 OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q --timeout 1800 \
	  tests/backend/training/pretraining/test_processes.py -k killed

lint: setup
	@bash tools/lint.sh

install:  # into the user's QGIS profile, as links
	@/usr/bin/python3 tools/install.py

package:
	@/usr/bin/python3 tools/package.py

screenshots: setup
	@/usr/bin/python3 docs/make_screenshots.py

lock: setup  # resolve the dependencies anew
	@for part in backend/requirements tests/requirements tests/plugin/requirements; do \
	  .uv/bin/uv pip compile --quiet --python /usr/bin/python3 --universal --generate-hashes --no-emit-index-url \
	    --custom-compile-command "make lock" $$part.in -o $$part.lock; done

clean:
	rm -rf .uv .venv .venv-qgis dist demo/work demo/output
