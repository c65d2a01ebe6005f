"Everything about the package is in settings.ini; this file hands it to setuptools."
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

config = ConfigParser(delimiters='=')
config.read('settings.ini', encoding='utf-8')
settings = config['DEFAULT']

assert settings['license'] == 'apache2'
classifiers = [
    'Development Status :: 3 - Alpha',
    f"Intended Audience :: {settings['audience']}",
    f"Natural Language :: {settings['language']}",
    'Programming Language :: Python :: 3',
]

setup(
    name=settings['lib_name'],
    version=settings['version'],
    description=settings['description'],
    long_description=Path('README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    keywords=settings['keywords'].split(),
    author=settings['author'],
    author_email=settings['author_email'],
    license='Apache-2.0',
    classifiers=classifiers,
    url=settings['git_url'],
    packages=find_packages(include=['sdpipe', 'sdpipe.*']),
    include_package_data=True,  # what MANIFEST.in names: the built-in model and the sample pictures
    python_requires=f">={settings['min_python']}",
    install_requires=settings['requirements'].split(),
    extras_require={name.removesuffix('_requirements'): settings[name].split()
                    for name in settings if name.endswith('_requirements')},
    entry_points={
        'console_scripts': settings['console_scripts'].split(),
        'nbdev': [f"{settings['lib_name']}={settings['lib_name']}._modidx:d"],
    },
    zip_safe=False,
)
