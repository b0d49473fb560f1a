{{- /* The Job that prepares store and bus: `python -m suti.infra.bootstrap`, safe to repeat. */}}
{{- define "suti.bootstrap.spec" -}}
backoffLimit: {{ .Values.bootstrap.backoffLimit }}
activeDeadlineSeconds: 3600 # one whose image never comes ends, too
template:
  metadata:
    labels: {{- include "suti.podLabels" (dict "root" . "name" "bootstrap") | nindent 6 }}
    {{- with .Values.commonAnnotations }}
    annotations: {{- toYaml . | nindent 6 }}
    {{- end }}
  spec: {{- include "suti.otherPodSpec" (dict "root" . "spec" (include "suti.bootstrap.podSpec" . | fromYaml)) | nindent 4 }}
{{- end }}

{{- define "suti.bootstrap.podSpec" -}}
serviceAccountName: {{ include "suti.fullname" . }}-bootstrap
automountServiceAccountToken: false
enableServiceLinks: false
restartPolicy: Never
securityContext: {{- include "suti.podSecurity" . | nindent 2 }}
containers:
  - name: bootstrap
    image: {{ include "suti.image" (dict "root" . "kind" "light") }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    command: [/opt/suti/bin/python, -m, suti.infra.bootstrap]
    terminationMessagePolicy: FallbackToLogsOnError
    env: {{- include "suti.bootstrap.env" . | nindent 6 }}
    {{- with .Values.bootstrap.resources }}
    resources: {{- toYaml . | nindent 6 }}
    {{- end }}
    securityContext: {{- include "suti.containerSecurity" . | nindent 6 }}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
      {{- if .Values.nats.caSecret }}
      - {name: nats-ca, mountPath: /etc/suti/nats, readOnly: true}
      {{- end }}
      {{- if .Values.store.caSecret }}
      - {name: store-ca, mountPath: /etc/suti/store, readOnly: true}
      {{- end }}
      {{- if include "suti.bootstrap.makesUsers" . }}
      - {name: store-users, mountPath: /etc/suti/store-users, readOnly: true}
      {{- end }}
volumes:
  - {name: tmp, emptyDir: {}}
  {{- with .Values.nats.caSecret }}
  - {name: nats-ca, secret: {secretName: {{ . }}}}
  {{- end }}
  {{- with .Values.store.caSecret }}
  - {name: store-ca, secret: {secretName: {{ . }}}}
  {{- end }}
  {{- if include "suti.bootstrap.makesUsers" . }}
  - {name: store-users, secret: {secretName: {{ include "suti.store.secret" . }}}}
  {{- end }}
{{- end }}

{{- define "suti.bootstrap.makesUsers" -}}
{{- if and .Values.bootstrap.storeUsers (eq .Values.store.users "perService") }}true{{ end }}
{{- end }}

{{- /* Whether the Job enters a store of somebody's as its administrator. */}}
{{- define "suti.bootstrap.signsIn" -}}
{{- $b := .Values.bootstrap }}
{{- if and $b.enabled (not .Values.minio.embedded.enabled) (or $b.bucket (include "suti.bootstrap.makesUsers" .)) }}true{{ end }}
{{- end }}

{{- define "suti.bootstrap.env" -}}
{{- $p := "SUTI_BOOTSTRAP" }}{{ $b := .Values.bootstrap }}{{ $embedded := .Values.minio.embedded.enabled }}
- {name: {{ $p }}_PATIENCE_S, value: {{ $b.patienceSeconds | quote }}}
- {name: {{ $p }}_BUCKET, value: {{ $b.bucket | quote }}}
- {name: {{ $p }}_STREAMS, value: {{ $b.streams | quote }}}
- {name: {{ $p }}_LOG_JSON, value: "true"}
- {name: {{ $p }}_STORE_URL, value: {{ include "suti.store.url" . | quote }}}
{{- with include "suti.store.endpoint" . }}
- {name: {{ $p }}_STORE_ENDPOINT, value: {{ . | quote }}}
{{- end }}
- {name: {{ $p }}_STORE_REGION, value: {{ .Values.store.region | quote }}}
{{- include "suti.storeCaEnv" (dict "root" .) }}
{{- if or $b.bucket (include "suti.bootstrap.makesUsers" .) }}
{{- include "suti.secretEnv" (dict "env" (printf "%s_STORE_ACCESS_KEY" $p) "secret" (ternary (include "suti.minio.secret" .) $b.adminSecret $embedded) "key" (ternary "root-user" "access-key" $embedded)) }}
{{- include "suti.secretEnv" (dict "env" (printf "%s_STORE_SECRET_KEY" $p) "secret" (ternary (include "suti.minio.secret" .) $b.adminSecret $embedded) "key" (ternary "root-password" "secret-key" $embedded)) }}
{{- end }}
{{- if include "suti.bootstrap.makesUsers" . }}
- {name: {{ $p }}_STORE_USERS, value: /etc/suti/store-users}
- {name: {{ $p }}_STORE_USER_PREFIX, value: {{ .Values.store.userPrefix | quote }}}
{{- end }}
{{- if $b.streams }}
{{- include "suti.natsEnv" (dict "root" . "prefix" $p "user" "bootstrap") }}
{{- end }}
{{- end }}
