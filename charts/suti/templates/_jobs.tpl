{{- /* What a launcher is told of its jobs' pods (suti.infra.jobs.kubernetes.template). Needs `suti.component`. */}}
{{- define "suti.jobTemplate" -}}
{{- $root := .root }}{{ $jobs := .jobs }}{{ $who := printf "%s-job" .name }}{{ $device := .jobAccelerator }}
{{- $template := dict
  "namespace" $root.Release.Namespace
  "image" (include "suti.image" (dict "root" $root "kind" "models"))
  "imagePullPolicy" $root.Values.image.pullPolicy
  "imagePullSecrets" $root.Values.image.pullSecrets
  "labels" (include "suti.selectorLabels" (dict "root" $root "name" $who) | fromYaml)
  "podLabels" (merge (deepCopy $jobs.labels) $root.Values.commonLabels)
  "podAnnotations" $jobs.annotations
  "serviceAccountName" ($jobs.serviceAccountName | default (printf "%s-job" (include "suti.name" .)))
  "env" (include "suti.jobEnv" . | fromYamlArray)
  "envFrom" $jobs.envFrom
  "resources" (include "suti.quantities" $jobs.resources | fromYaml)
  "nodeSelector" (merge (deepCopy $jobs.nodeSelector) ($device.nodeSelector | default dict))
  "tolerations" (concat $jobs.tolerations ($device.tolerations | default list) | default list)
  "affinity" $jobs.affinity
  "topologySpreadConstraints" $jobs.topologySpreadConstraints
  "runAsUser" $root.Values.runAsUser "runAsGroup" $root.Values.runAsUser "fsGroup" $root.Values.runAsUser
  "volumes" (include "suti.jobVolumes" . | fromYamlArray)
  "volumeMounts" (include "suti.jobVolumeMounts" . | fromYamlArray)
  "tmpSize" $jobs.tmpSize
  "owner" (dict "name" (include "suti.name" .))
  "graceS" $jobs.graceSeconds "hangS" $jobs.hangSeconds "ttlS" $jobs.ttlSeconds }}
{{- if include "suti.gang" . }}{{ $_ := set $template "gangService" (printf "%s-gang" (include "suti.name" .)) }}{{ end }}
{{- with $device.resource }}{{ $_ := set $template "accelerator" (dict "resource" . "count" ($device.count | default 1)) }}{{ end }}
{{- with $jobs.queueName }}{{ $_ := set $template "queue" . }}{{ end }}
{{- with $jobs.jobLabels }}{{ $_ := set $template "jobLabels" . }}{{ end }}
{{- with $jobs.jobAnnotations }}{{ $_ := set $template "jobAnnotations" . }}{{ end }}
{{- with include "suti.priorityClass" (dict "root" $root "given" $jobs.priorityClassName "kind" "job") }}{{ $_ := set $template "priorityClassName" . }}{{ end }}
{{- with $jobs.runtimeClassName }}{{ $_ := set $template "runtimeClassName" . }}{{ end }}
{{- with $jobs.schedulerName }}{{ $_ := set $template "schedulerName" . }}{{ end }}
{{- toPrettyJson $template }}
{{- end }}

{{- /* Whether several processes do one job together. */}}
{{- define "suti.gang" -}}
{{- with .values.gang }}{{ if gt (mul .pods .processes) 1 }}true{{ end }}{{ end }}
{{- end }}

{{- /* What pods of this release's gangs carry; no other pod does. */}}
{{- define "suti.gangLabels" -}}
{{ include "suti.selectorLabels" (dict "root" .root "name" (printf "%s-job" .name)) }}
suti.dev/gang: "true"
{{- end }}

{{- /* A launcher hands on what is plain; secrets come by reference. */}}
{{- define "suti.jobEnv" -}}
{{- $secret := include "suti.store.secret" .root }}
{{- $keys := get (dict "perService" (printf "%s-" .name) "shared" "") .root.Values.store.users }}
{{- if ne .root.Values.store.users "ambient" }}
{{- include "suti.secretEnv" (dict "env" (printf "%s_STORE_ACCESS_KEY" .fact.prefix) "secret" $secret "key" (printf "%saccess-key" $keys)) }}
{{- include "suti.secretEnv" (dict "env" (printf "%s_STORE_SECRET_KEY" .fact.prefix) "secret" $secret "key" (printf "%ssecret-key" $keys)) }}
{{- end }}
{{- include "suti.storeCaEnv" . }}
{{- with .jobs.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "suti.jobVolumes" -}}
{{- with .root.Values.models.volume }}
- {{- mergeOverwrite (dict "name" "models") . | toYaml | nindent 2 }}
{{- end }}
{{- with .root.Values.store.caSecret }}
- {name: store-ca, secret: {secretName: {{ . }}}}
{{- end }}
{{- with .jobs.volumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "suti.jobVolumeMounts" -}}
{{- if .root.Values.models.volume }}
- {name: models, mountPath: /models, readOnly: true}
{{- end }}
{{- if .root.Values.store.caSecret }}
- {name: store-ca, mountPath: /etc/suti/store, readOnly: true}
{{- end }}
{{- with .jobs.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Requests and limits as text: `cpu: 1` would be a number. */}}
{{- define "suti.quantities" -}}
{{- range $kind, $amounts := . }}
{{ $kind }}:
  {{- range $name, $amount := $amounts }}
  {{ $name }}: {{ toString $amount | quote }}
  {{- end }}
{{- end }}
{{- end }}
