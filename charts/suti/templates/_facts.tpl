{{- /* What the chart knows of each component and cannot be changed by values. */}}
{{- define "suti.facts" -}}
pipeline: {module: suti_pipeline, prefix: SUTI_PIPELINE, image: light}
clustering: {module: suti_clustering, prefix: SUTI_CLUSTERING, image: grouping, stages: grouping}
selection: {module: suti_clustering, prefix: SUTI_CLUSTERING, image: models, stages: selection}
captioning: {module: suti_captioning, prefix: SUTI_CAPTIONING, image: models}
experts: {module: suti_experts, prefix: SUTI_EXPERTS, image: light, launches: true}
filtering: {module: suti_filtering, prefix: SUTI_FILTERING, image: models}
apprentice: {module: suti_apprentice, prefix: SUTI_APPRENTICE, image: light, launches: true}
generation: {module: suti_generation, prefix: SUTI_GENERATION, image: models}
{{- end }}

{{- /* A component: root, name, its facts, and its values over `defaults`. As YAML without root; see `suti.component`. */}}
{{- define "suti.values" -}}
{{- $root := index . 0 }}{{ $name := index . 1 }}
{{- toYaml (mergeOverwrite (deepCopy $root.Values.defaults) (deepCopy (index $root.Values $name))) }}
{{- end }}

{{- define "suti.jobValues" -}}
{{- $root := index . 0 }}{{ $name := index . 1 }}
{{- toYaml (mergeOverwrite (deepCopy $root.Values.jobs) (deepCopy ((index $root.Values $name).jobs | default dict))) }}
{{- end }}

{{- define "suti.fact" -}}
{{- toYaml (index (include "suti.facts" . | fromYaml) .name) }}
{{- end }}

{{- define "suti.accelerator" -}}
{{- $found := index .root.Values.accelerators .accelerator }}
{{- if not $found }}{{ fail (printf "%s wants the accelerator %q, which `accelerators` does not have: name one of %s, or add it" .name .accelerator (keys .root.Values.accelerators | sortAlpha | join ", ")) }}{{ end }}
{{- toYaml $found }}
{{- end }}

{{- /* Every component's name, enabled or not. */}}
{{- define "suti.components" -}}
{{ keys (include "suti.facts" . | fromYaml) | sortAlpha | join " " }}
{{- end }}
