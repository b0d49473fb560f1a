{{- /* What NOTES.txt says: first requests as they work with the release's way of protecting them. */}}
{{- define "suti.notes" -}}
{{- $full := include "suti.fullname" . }}{{ $ns := .Release.Namespace }}{{ $tls := ne .Values.tls.mode "plaintext" }}
Suti {{ .Chart.AppVersion }} is installed as {{ .Release.Name }} in {{ $ns }}.

Wait until everything is ready:
     kubectl -n {{ $ns }} get pods -l app.kubernetes.io/instance={{ .Release.Name }} --watch
What does not get ready, and why:
     suti doctor --cluster --namespace {{ $ns }} --release {{ .Release.Name }}
   (`make install` in a checkout makes .venv/bin/suti.)
{{- if .Values.auth.enabled }}

The token that calls must carry:
     export SUTI_TOKEN=$(kubectl -n {{ $ns }} get secret {{ include "suti.tokens.secret" . }} -o jsonpath='{.data.tokens}' | base64 -d | cut -d, -f1)
{{- end }}
{{- if $tls }}{{ include "suti.notes.trust" . }}{{ end }}

A first request, from your machine:
     kubectl -n {{ $ns }} port-forward svc/{{ $full }}-generation 50052:50051 &
     {{- if $tls }}
     export SUTI_TLS_SERVER_NAME={{ $full }}-generation    # the name in its certificate; you call localhost
     {{- end }}
     suti subject add --server localhost:50052 one.png two.png three.png four.png
     suti generate --server localhost:50052 --subject SUBJECT_ID{{ with include "suti.testModel" . }} --model {{ . }}{{ end }} "a photo of it on a beach"

A first run:
     kubectl -n {{ $ns }} port-forward svc/{{ $full }}-pipeline 50051 &
     {{- if $tls }}
     export SUTI_TLS_SERVER_NAME={{ $full }}-pipeline
     {{- end }}
     suti run start --server localhost:50051 --crawl s3://{{ if .Values.minio.embedded.enabled }}suti{{ else }}BUCKET{{ end }}/crawls/CRAWL.warc.gz
     suti run why --server localhost:50051 RUN

Prove the installation:
     helm -n {{ $ns }} test {{ .Release.Name }}
{{- if not (include "suti.testModel" .) }}
   (Set tests.model to one of your models, and it draws with it as well.)
{{- end }}

Pods that call the services from inside of {{ $ns }} need the label suti.dev/client: "true".
{{- if or .Values.nats.embedded.enabled .Values.minio.embedded.enabled }}

FOR TRIAL ONLY:{{ if .Values.nats.embedded.enabled }} NATS{{ end }}{{ if .Values.minio.embedded.enabled }} MinIO{{ end }} in this release: one server, one disk, no TLS. Set nats.url and store.url for anything kept.
{{- end }}
{{- if not $tls }}

tls.mode=plaintext: whoever can read this network reads requests, pictures and tokens.
{{- end }}
{{- if .Values.models.toy }}

models.toy=true: the toy models draw 32-pixel toys. Give real ones by models.volume.
{{- end }}
{{- end }}

{{- define "suti.notes.trust" }}
{{- $secret := printf "kubectl -n %s get secret %s -o jsonpath" .Release.Namespace (include "suti.tls.secret" .) }}

Whom your calls trust{{ if .Values.tls.mutual }}, and the certificate that they show{{ end }}:
     {{ $secret }}='{.data.ca\.crt}' | base64 -d > suti-ca.crt
     export SUTI_TLS_CA=suti-ca.crt
     {{- if .Values.tls.mutual }}
     {{ $secret }}='{.data.tls\.crt}' | base64 -d > suti.crt
     {{ $secret }}='{.data.tls\.key}' | base64 -d > suti.key
     export SUTI_TLS_CERT=suti.crt SUTI_TLS_KEY=suti.key
     {{- else }}
   (The secret has no ca.crt? Then the certificate is of a public authority, and SUTI_TLS=1 does instead, or of one of yours: its file.)
     {{- end }}
{{- end }}
