{{- /* The pods of `helm test`: a script of files/tests each, as the user `probe`. Helm prints what they say and deletes
       them, also those that fail: `helm uninstall` knows nothing of them. */}}
{{- define "suti.testMetadata" -}}
name: {{ include "suti.fullname" .root }}-test-{{ .test }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "suti.labels" . | nindent 2 }}
  suti.dev/client: "true"
annotations:
  {{- toYaml (mergeOverwrite (dict) .root.Values.commonAnnotations (dict "helm.sh/hook" "test" "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded,hook-failed" "helm.sh/hook-output-log-policy" "hook-succeeded,hook-failed")) | nindent 2 }}
{{- end }}

{{- /* -P: scripts are not each other's modules; `nats` is the library. */}}
{{- define "suti.testPod" -}}
{{- include "suti.otherPodSpec" (dict "root" .root "spec" (include "suti.testPodSpec" . | fromYaml)) }}
{{- end }}

{{- define "suti.testPodSpec" -}}
serviceAccountName: {{ .root.Values.defaults.serviceAccountName | default (printf "%s-probe" (include "suti.fullname" .root)) }}
restartPolicy: Never
automountServiceAccountToken: false
enableServiceLinks: false
activeDeadlineSeconds: {{ .root.Values.tests.timeoutSeconds }}
securityContext: {{- include "suti.podSecurity" .root | nindent 2 }}
containers:
  - name: test
    image: {{ include "suti.image" (dict "root" .root "kind" (ternary "models" "light" (eq .test "generate"))) }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    command: [/opt/suti/bin/python, -P, /scripts/{{ .test }}.py]
    env: {{- include "suti.testEnv" . | nindent 6 }}
    resources: {requests: {cpu: 50m, memory: 128Mi}, limits: {memory: 512Mi}}
    securityContext: {{- include "suti.containerSecurity" . | nindent 6 }}
    volumeMounts: {{- include "suti.testMounts" . | nindent 6 }}
volumes:
  - {name: tmp, emptyDir: {}}
  - {name: scripts, configMap: {name: {{ include "suti.fullname" .root }}-test}}
  {{- if ne .root.Values.tls.mode "plaintext" }}
  - {name: tls, secret: {secretName: {{ include "suti.tls.secret" .root }}}}
  {{- end }}
  {{- with .root.Values.nats.caSecret }}
  - {name: nats-ca, secret: {secretName: {{ . }}}}
  {{- end }}
  {{- with .root.Values.store.caSecret }}
  - {name: store-ca, secret: {secretName: {{ . }}}}
  {{- end }}
{{- end }}

{{- define "suti.testMounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: scripts, mountPath: /scripts, readOnly: true}
{{- if ne .root.Values.tls.mode "plaintext" }}
- {name: tls, mountPath: /etc/suti/tls, readOnly: true}
{{- end }}
{{- if .root.Values.store.caSecret }}
- {name: store-ca, mountPath: /etc/suti/store, readOnly: true}
{{- end }}
{{- if .root.Values.nats.caSecret }}
- {name: nats-ca, mountPath: /etc/suti/nats, readOnly: true}
{{- end }}
{{- end }}

{{- define "suti.testModel" -}}
{{- .Values.tests.model | default (ternary "warmstart" "" .Values.models.toy) }}
{{- end }}

{{- define "suti.testEnv" -}}
{{- if eq .test "nats" }}{{ include "suti.natsEnv" (dict "root" .root "prefix" "SUTI_PROBE" "user" "probe") }}
{{- else if eq .test "store" }}{{ include "suti.storeEnv" (dict "root" .root "prefix" "SUTI_PROBE" "user" "probe") }}
{{- else }}
- {name: GENERATION, value: "{{ include "suti.fullname" .root }}-generation:50051"}
- {name: MODEL, value: {{ include "suti.testModel" .root | quote }}}
- {name: TLS, value: {{ ternary "" "/etc/suti/tls" (eq .root.Values.tls.mode "plaintext") | quote }}}
{{- if .root.Values.auth.enabled }}
{{- include "suti.secretEnv" (dict "env" "TOKENS" "secret" (include "suti.tokens.secret" .root) "key" "tokens") }}
{{- end }}
{{- end }}
{{- end }}
