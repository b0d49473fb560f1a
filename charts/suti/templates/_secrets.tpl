{{- /* What a secret of this name holds already (base64 by key): generated once, kept over upgrades. */}}
{{- define "suti.kept" -}}
{{- $there := lookup "v1" "Secret" .root.Release.Namespace (include "suti.name" .) }}
{{- toYaml (($there | default dict).data | default dict) }}
{{- end }}

{{- /* Fails if a secret that values name is not there, or lacks a key. Silent where no cluster is asked (helm template). */}}
{{- define "suti.needSecret" -}}
{{- if and .secret (lookup "v1" "Namespace" "" .root.Release.Namespace) }}
{{- $found := lookup "v1" "Secret" .root.Release.Namespace .secret }}
{{- if not $found }}{{ fail (printf "%s: there is no secret %q in namespace %s: create it with the keys %s, or correct its name" .value .secret .root.Release.Namespace (join ", " .keys)) }}{{ end }}
{{- range $key := .keys }}
{{- if not (hasKey ($found.data | default dict) $key) }}{{ fail (printf "%s: the secret %q has no key %q: add it (needed: %s)" $.value $.secret $key (join ", " $.keys)) }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "suti.needStorageClass" -}}
{{- if and (lookup "v1" "Namespace" "" .root.Release.Namespace) (not (lookup "storage.k8s.io/v1" "StorageClass" "" .class)) }}
{{- fail (printf "%s: the cluster has no storage class %q: name one of `kubectl get storageclass`, or leave it empty for the default" .value .class) }}
{{- end }}
{{- end }}
