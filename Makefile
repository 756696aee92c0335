# Everything here works from a fresh clone; what is missing is installed into .venv, build/ and install/.
#   make run ARGS="--source webcam"     make test ARGS="test/vision -k crop"     make setup PYTHON=python3.12

PYTHON ?=
ARGS ?=
PY = "$(shell sh scripts/setup/find_python.sh "$(PYTHON)")"
ROS = .venv/bin/python scripts/ros_env.py
UV = .venv/bin/uv
COMPILE = $(UV) pip compile --universal --generate-hashes --quiet \
	--custom-compile-command "make lock" pyproject.toml $(ARGS)
# Four processes even on two cores, as many tests wait for a node; the tests of a file stay in one and share what is costly.
PARALLEL = --numprocesses 4 --dist loadfile
NO_ROS_TESTS = test --ignore=test/platform

.DEFAULT_GOAL := help
.PHONY: help run talk web setup test test-oldest test-web lint lock wheelhouse clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: ## show the faces of the webcam or, without one, of sample photographs; ARGS="--help" lists the options
	@sh scripts/setup/find_python.sh --check "$(PYTHON)"
	@$(PY) scripts/setup/run.py $(ARGS)

talk: ## speak with who is in view, in the terminal: whom, how and why; ARGS="--help" lists the options
	@sh scripts/setup/find_python.sh --check "$(PYTHON)"
	@$(PY) scripts/setup/run.py --talk $(ARGS)

web: ## open the demonstrator: faces of images, videos and the webcam, in a browser; ARGS="--help" lists the options
	@sh scripts/setup/find_python.sh --check "$(PYTHON)"
	@$(PY) scripts/setup/set_up.py --to-run
	@.venv/bin/facial-attributes web $(ARGS)

setup: ## install everything into .venv and build the messages
	@sh scripts/setup/find_python.sh --check "$(PYTHON)"
	@$(PY) scripts/setup/set_up.py

test: setup ## run the tests; ARGS="test/vision -k crop" runs some of them
	@.venv/bin/python scripts/setup/shared_memory.py
	$(ROS) python -m pytest $(PARALLEL) $(ARGS)

test-oldest: setup ## run the tests that need no ROS with the oldest supported versions
	@$(PY) scripts/setup/set_up.py --oldest
	.venv-oldest/bin/python -m pytest $(PARALLEL) $(NO_ROS_TESTS) $(ARGS)

test-web: setup ## run the tests of the pages in Chromium (Debian and Ubuntu: apt-get install chromium)
	TEST_WEB=required $(ROS) python -m pytest test/web test/ros/test_viewer_page.py $(ARGS)

lint: setup ## check the code with ruff and mypy
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	@mkdir -p build/lint && ln -sfn ../../training build/lint/facial_attributes_training
	MYPYPATH=build/lint:scripts/setup:scripts/figures:scripts/peers .venv/bin/mypy facial_attributes_ros build/lint/facial_attributes_training scripts

lock: setup ## remake the locked requirements; ARGS=--upgrade takes the newest versions
	$(COMPILE) --python-version 3.10 --extra ros --extra sample --extra setup --extra web -o requirements/run.txt
	$(COMPILE) --python-version 3.11 --all-extras -c requirements/pins.txt -c requirements/run.txt -o requirements/lock.txt
	$(COMPILE) --python-version 3.11 --extra train --extra export -c requirements/pins.txt -c requirements/run.txt \
		-o requirements/train.txt
	$(COMPILE) --python-version 3.10 --extra web -c requirements/numpy1.txt -o requirements/robot.txt
	$(COMPILE) --python-version 3.10 --extra torch --extra web -c requirements/pins.txt -c requirements/numpy1.txt \
		-c requirements/robot.txt -o requirements/robot-torch.txt
	$(COMPILE) --python-version 3.11 --extra train --extra export --extra insightface --extra dev --extra setup \
		--extra web --resolution lowest-direct -o requirements/oldest.txt

wheelhouse: ## collect everything for a robot without a network; ARGS="--lock robot-torch --python 3.12"
	@sh scripts/setup/find_python.sh --check "$(PYTHON)"
	@$(PY) scripts/setup/wheelhouse.py $(ARGS)

clean: ## remove everything that make has made, the environments included
	rm -rf build install log .venv .venv-oldest .venv-robot *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
