{{- /* Names, labels and selectors: the same for every object. Most templates take a dict of `root`, `name`, `values`. */}}
{{- define "suti.fullname" -}}
{{- $base := .Values.fullnameOverride | default (printf "%s-%s" .Release.Name (.Values.nameOverride | default "suti")) }}
{{- if and (not .Values.fullnameOverride) (contains "suti" .Release.Name) }}{{ $base = .Release.Name }}{{ end }}
{{- $base | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "suti.name" -}}
{{ include "suti.fullname" .root }}-{{ .name }}
{{- end }}

{{- /* What selects the pods of a component. Never changes within a release: Deployments cannot follow. */}}
{{- define "suti.selectorLabels" -}}
app.kubernetes.io/name: suti
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- /* The same on one line. */}}
{{- define "suti.selectorJson" -}}
{{ include "suti.selectorLabels" . | fromYaml | toJson }}
{{- end }}

{{- define "suti.labels" -}}
{{ include "suti.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: suti
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- with mergeOverwrite (dict) ((.values | default dict).labels | default dict) (.moreLabels | default dict) }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Labels of pods: nothing that a new chart changes, so that only real changes roll them. */}}
{{- define "suti.podLabels" -}}
{{ include "suti.selectorLabels" . }}
app.kubernetes.io/part-of: suti
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Metadata of an object; `suffix` tells objects of one component and kind apart, `annotations` are added. */}}
{{- define "suti.metadata" -}}
{{- $annotations := mergeOverwrite (dict) .root.Values.commonAnnotations ((.values | default dict).annotations | default dict) (.annotations | default dict) -}}
name: {{ include "suti.name" . }}{{ with .suffix }}-{{ . }}{{ end }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "suti.labels" . | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "suti.image" -}}
{{- $image := index .root.Values.image .kind }}
{{- with .root.Values.image.registry }}{{ . }}/{{ end }}{{ $image }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- /* Metadata of an object outside of all namespaces. */}}
{{- define "suti.clusterMetadata" -}}
name: {{ include "suti.name" . }}
labels: {{- include "suti.labels" . | nindent 2 }}
{{- end }}
