# habeas: web server and worker in one container, or one of them (`serve --no-worker`, `worker`).
#
#   docker build -t habeas .
#   docker run -p 8080:8080 -v habeas-data:/data -e HABEAS_APP_ENCRYPTION_KEY=… habeas
#
# With several containers set HABEAS_DATABASE_URL to PostgreSQL and HABEAS_SPOOL_URL to object storage.
FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/habeas
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/habeas/bin/pip install --no-cache-dir .

FROM python:3.12-slim
COPY --from=build /opt/habeas /opt/habeas
RUN useradd --system --uid 10001 --home-dir /data habeas && install -d -o habeas -g habeas -m 0700 /data
USER habeas
VOLUME /data
ENV HABEAS_DATA_DIR=/data HABEAS_HOST=0.0.0.0 PATH=/opt/habeas/bin:$PATH PYTHONUNBUFFERED=1
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-c", \
  "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/health', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["habeas"]
CMD ["serve"]
