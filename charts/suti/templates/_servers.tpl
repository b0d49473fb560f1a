{{- /* The pod of an embedded server: root, name, server (its values), container, checksum of what rolls it. */}}
{{- define "suti.serverPod" -}}
{{- $container := merge .container (dict "resources" .server.resources "securityContext" (include "suti.containerSecurity" . | fromYaml)) }}
{{- $spec := mergeOverwrite (include "suti.serverPodSpec" (merge (dict "container" $container) .) | fromYaml) (deepCopy .server.podSpec) -}}
metadata:
  labels: {{- include "suti.podLabels" . | nindent 4 }}
  annotations:
    checksum/config: {{ .checksum }}
    {{- with include "suti.secretsChecksum" (dict "root" .root "spec" $spec) }}{{ . | nindent 4 }}{{ end }}
spec: {{- toYaml $spec | nindent 2 }}
{{- end }}

{{- define "suti.serverPodSpec" -}}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: 30
securityContext: {{- include "suti.podSecurity" .root | nindent 2 }}
containers:
  - {{- toYaml .container | nindent 4 }}
{{- with .server.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .server.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "suti.priorityClass" (dict "root" .root "given" "" "kind" "service") }}
priorityClassName: {{ . }}
{{- end }}
volumes:
  - {name: tmp, emptyDir: {}}
  {{- if eq .name "nats" }}
  - {name: config, configMap: {name: {{ include "suti.name" . }}}}
  {{- end }}
  {{- if not .server.persistence.enabled }}
  - {name: data, emptyDir: {}}
  {{- end }}
{{- end }}

{{- define "suti.serverClaim" -}}
{{- with .server.persistence }}{{ if .enabled }}
volumeClaimTemplates:
  - apiVersion: v1
    kind: PersistentVolumeClaim
    metadata: {name: data}
    spec:
      accessModes: [ReadWriteOnce]
      {{- with .storageClass }}
      storageClassName: {{ . }}
      {{- end }}
      resources: {requests: {storage: {{ .size }}}}
{{- end }}{{ end }}
{{- end }}
