{{- /* The pod of a service, within the restricted Pod Security level. */}}
{{- define "suti.component" -}}
{{- $c := dict "root" .root "name" .name "fact" (include "suti.fact" . | fromYaml) "values" (include "suti.values" (list .root .name) | fromYaml) }}
{{- $_ := set . "fact" $c.fact }}{{ $_ := set . "values" $c.values }}
{{- $_ := set . "accelerator" (include "suti.accelerator" (dict "root" .root "name" .name "accelerator" $c.values.accelerator) | fromYaml) }}
{{- if $c.fact.launches }}
{{- $jobs := include "suti.jobValues" (list .root .name) | fromYaml }}{{ $_ := set . "jobs" $jobs }}
{{- $_ := set . "jobAccelerator" (include "suti.accelerator" (dict "root" .root "name" (printf "%s.jobs" .name) "accelerator" $jobs.accelerator) | fromYaml) }}
{{- end }}
{{- end }}

{{- define "suti.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .Values.runAsUser }}
runAsGroup: {{ .Values.runAsUser }}
fsGroup: {{ .Values.runAsUser }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "suti.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "suti.podMetadata" -}}
labels:
  {{- include "suti.podLabels" . | nindent 2 }}
  {{- with .values.podLabels }}{{ toYaml . | nindent 2 }}{{ end }}
annotations:
  checksum/environment: {{ include "suti.environment" . | sha256sum }}
  {{- with include "suti.secretsChecksum" . }}{{ . | nindent 2 }}{{ end }}
  {{- if .fact.launches }}
  checksum/jobs: {{ include "suti.jobTemplate" . | sha256sum }}
  {{- end }}
  {{- with mergeOverwrite (deepCopy .root.Values.commonAnnotations) .values.podAnnotations }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}

{{- define "suti.podTemplate" -}}
{{- $_ := set . "spec" (mergeOverwrite (include "suti.podSpec" . | fromYaml) (deepCopy .values.podSpec)) -}}
metadata: {{- include "suti.podMetadata" . | nindent 2 }}
spec: {{- toYaml .spec | nindent 2 }}
{{- end }}

{{- define "suti.podSpec" -}}
serviceAccountName: {{ .values.serviceAccountName | default (include "suti.name" .) }}
automountServiceAccountToken: {{ .fact.launches | default false }}
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .values.terminationGracePeriodSeconds }}
securityContext: {{- include "suti.podSecurity" .root | nindent 2 }}
containers:
  - {{- include "suti.container" . | nindent 4 }}
volumes: {{- include "suti.volumes" . | nindent 2 }}
{{- include "suti.placement" . }}
{{- include "suti.spread" . }}
{{- end }}

{{- /* The pod of what is no service, the bootstrap or a test: `spec`, and what `defaults` say of every pod. An accelerator and
       its nodes are not for these. Needs root and spec. */}}
{{- define "suti.otherPodSpec" -}}
{{- $d := .root.Values.defaults }}{{ $spec := .spec }}{{ $container := index $spec.containers 0 }}
{{- $_ := set $container "env" (concat ($container.env | default list) $d.env) }}
{{- $_ := set $container "volumeMounts" (concat $container.volumeMounts $d.volumeMounts) }}
{{- $_ := set $spec "volumes" (concat $spec.volumes $d.volumes) }}
{{- with $d.envFrom }}{{ $_ := set $container "envFrom" . }}{{ end }}
{{- $wishes := mergeOverwrite (deepCopy $d) (dict "runtimeClassName" "") }}
{{- $place := include "suti.placement" (dict "root" .root "values" $wishes "accelerator" dict) | fromYaml }}
{{- toYaml (mergeOverwrite $spec $place (deepCopy $d.podSpec)) }}
{{- end }}

{{- define "suti.container" -}}
name: {{ .name }}
image: {{ include "suti.image" (dict "root" .root "kind" .fact.image) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
command: [/opt/suti/bin/python, -m, {{ .fact.module }}]
env: {{- include "suti.environment" . | nindent 2 }}
{{- with .values.envFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - {name: grpc, containerPort: 50051}
  - {name: health, containerPort: 50052}
  - {name: metrics, containerPort: {{ .root.Values.telemetry.metricsPort }}}
startupProbe: {grpc: {port: 50052}, periodSeconds: 2, timeoutSeconds: 5, failureThreshold: {{ div .values.startupSeconds 2 }}}
readinessProbe: {grpc: {port: 50052, service: model}, periodSeconds: 5, timeoutSeconds: 5}
livenessProbe: {grpc: {port: 50052}, periodSeconds: 15, timeoutSeconds: 10, failureThreshold: 4}
{{- with .values.preStopSeconds }}
lifecycle: {preStop: {sleep: {seconds: {{ . }}}}}
{{- end }}
resources: {{- include "suti.resources" (dict "resources" .values.resources "accelerator" .accelerator) | nindent 2 }}
securityContext: {{- include "suti.containerSecurity" . | nindent 2 }}
volumeMounts: {{- include "suti.volumeMounts" . | nindent 2 }}
{{- end }}

{{- define "suti.resources" -}}
{{- $all := deepCopy .resources }}
{{- with .accelerator.resource }}
{{- $device := dict . (toString ($.accelerator.count | default 1)) }}
{{- $all = merge $all (dict "limits" $device "requests" $device) }}
{{- end }}
{{- toYaml $all }}
{{- end }}

{{- define "suti.volumes" -}}
- {name: tmp, emptyDir: {sizeLimit: {{ .values.tmpSize }}}}
{{- if ne .root.Values.tls.mode "plaintext" }}
- {name: tls, secret: {secretName: {{ include "suti.tls.secret" .root }}}}
{{- end }}
{{- with .root.Values.nats.caSecret }}
- {name: nats-ca, secret: {secretName: {{ . }}}}
{{- end }}
{{- with .root.Values.store.caSecret }}
- {name: store-ca, secret: {secretName: {{ . }}}}
{{- end }}
{{- if .fact.launches }}
- {name: job-template, configMap: {name: {{ include "suti.name" . }}-job-template}}
{{- end }}
{{- with .root.Values.models.volume }}
- {{- mergeOverwrite (dict "name" "models") . | toYaml | nindent 2 }}
{{- end }}
{{- with .values.volumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "suti.volumeMounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if ne .root.Values.tls.mode "plaintext" }}
- {name: tls, mountPath: /etc/suti/tls, readOnly: true}
{{- end }}
{{- if .root.Values.nats.caSecret }}
- {name: nats-ca, mountPath: /etc/suti/nats, readOnly: true}
{{- end }}
{{- if .root.Values.store.caSecret }}
- {name: store-ca, mountPath: /etc/suti/store, readOnly: true}
{{- end }}
{{- if .fact.launches }}
- {name: job-template, mountPath: /etc/suti/jobs, readOnly: true}
{{- end }}
{{- if .root.Values.models.volume }}
- {name: models, mountPath: /models, readOnly: true}
{{- end }}
{{- with .values.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "suti.priorityClass" -}}
{{- .given | default (ternary (printf "%s-%s" (include "suti.fullname" .root) .kind) "" .root.Values.priorityClasses.create) }}
{{- end }}

{{- /* Where the pod may run: the component's wishes, and its accelerator's. */}}
{{- define "suti.placement" -}}
{{- with merge (deepCopy .values.nodeSelector) (.accelerator.nodeSelector | default dict) }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat .values.tolerations (.accelerator.tolerations | default list) }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "suti.priorityClass" (dict "root" .root "given" .values.priorityClassName "kind" "service") }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "suti.spread" }}
topologySpreadConstraints:
{{- with .values.topologySpreadConstraints }}
  {{- toYaml . | nindent 2 }}
{{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector: {matchLabels: {{ include "suti.selectorJson" . }}}
{{- end }}
{{- end }}
