# The image of everything in the stack that is mlvitals' own: exporter, simulated service, history, inbox, secrets.
FROM prom/prometheus:v3.5.0 AS prometheus
FROM python:3.12-slim

WORKDIR /app
# Dependencies first: they change seldom and take longest.
COPY pyproject.toml ./
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
        print(*project['dependencies'], *project['optional-dependencies']['measure'], sep='\n')" \
        > /tmp/requirements.txt \
    && pip install --no-cache-dir --disable-pip-version-check --requirement /tmp/requirements.txt \
    && rm /tmp/requirements.txt

# The past is loaded with the very release that goes on with it.
COPY --from=prometheus /bin/prometheus /bin/promtool /usr/local/bin/

# The folders that volumes are mounted on belong to their users, and a new volume inherits that.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin mlvitals \
    && mkdir -p examples/streamrec/data var /history /inbox /logs /collector /prometheus \
        /secrets/alertmanager /secrets/grafana \
    && chown nobody:nogroup /prometheus \
    && chown mlvitals examples/streamrec/data var /history /inbox /logs /collector \
        /secrets/alertmanager /secrets/grafana

# mlvitals/generator and mlvitals/exporters arrive as what they are, links to the folders beside mlvitals.
COPY . ./
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --editable . \
    && python -m compileall -q .
USER mlvitals
ENTRYPOINT ["mlvitals"]
CMD ["--help"]
