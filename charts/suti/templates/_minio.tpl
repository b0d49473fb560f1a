{{- define "suti.minio.container" -}}
{{- $secret := include "suti.minio.secret" . -}}
name: minio
image: {{ .Values.minio.embedded.image }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [/usr/bin/minio, server, --quiet, --address, ":9000", /data]
env:
  - {name: MINIO_BROWSER, value: "off"}
  - {name: MINIO_UPDATE, value: "off"}
  - {name: MINIO_ROOT_USER, valueFrom: {secretKeyRef: {name: {{ $secret }}, key: root-user}}}
  - {name: MINIO_ROOT_PASSWORD, valueFrom: {secretKeyRef: {name: {{ $secret }}, key: root-password}}}
ports: [{name: s3, containerPort: 9000}]
startupProbe: {httpGet: {path: /minio/health/live, port: s3}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 120}
readinessProbe: {httpGet: {path: /minio/health/ready, port: s3}, periodSeconds: 5, timeoutSeconds: 5}
livenessProbe: {httpGet: {path: /minio/health/live, port: s3}, periodSeconds: 15, timeoutSeconds: 10, failureThreshold: 4}
volumeMounts: [{name: data, mountPath: /data}, {name: tmp, mountPath: /tmp}]
{{- end }}
