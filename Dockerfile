# The image of everything in the stack that is mlvitals' own: exporter, simulated service, history, inbox, secrets.
FROM python:3.12-slim

WORKDIR /app
# Dependencies first: they change seldom and take longest.
COPY pyproject.toml ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > /tmp/requirements.txt \
    && pip install --no-cache-dir --disable-pip-version-check --requirement /tmp/requirements.txt \
    && rm /tmp/requirements.txt

# The folders that volumes are mounted on belong to the user, and a new volume inherits that.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin mlvitals \
    && mkdir -p examples/streamrec/data var /history /inbox /secrets/alertmanager /secrets/grafana \
    && chown mlvitals examples/streamrec/data var /history /inbox /secrets/alertmanager /secrets/grafana

COPY . ./
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --editable . \
    && python -m compileall -q .
USER mlvitals
ENTRYPOINT ["mlvitals"]
CMD ["--help"]
