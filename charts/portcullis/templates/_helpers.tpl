{{- define "portcullis.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* The name of the release's objects, or its prefix. */}}
{{- define "portcullis.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" }}
{{- else if contains (include "portcullis.name" .) .Release.Name }}
{{- .Release.Name | trunc 45 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "portcullis.name" .) | trunc 45 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* The name of cluster-scoped objects. It contains the namespace, to avoid collisions between releases. */}}
{{- define "portcullis.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "portcullis.fullname" .) }}
{{- end }}

{{- define "portcullis.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
{{ include "portcullis.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: portcullis
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "portcullis.selector" -}}
app.kubernetes.io/name: {{ include "portcullis.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "portcullis.operator.selector" -}}
{{ include "portcullis.selector" . }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "portcullis.dataPlane.selector" -}}
{{ include "portcullis.selector" . }}
app.kubernetes.io/component: data-plane
{{- end }}

{{- define "portcullis.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end }}

{{- define "portcullis.postgresql" -}}
{{- if eq .Values.database.kind "postgresql" }}true{{ end }}
{{- end }}

{{/* The number of data-plane replicas: the configured one, or the default for the database. */}}
{{- define "portcullis.dataPlane.replicas" -}}
{{- if kindIs "invalid" .Values.dataPlane.replicas }}
{{- ternary 3 1 (eq .Values.database.kind "postgresql") }}
{{- else }}
{{- .Values.dataPlane.replicas }}
{{- end }}
{{- end }}

{{/* The security context of every pod: the restricted profile of the Pod Security Standards. */}}
{{- define "portcullis.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch # Always would open private folders to the group at each restart
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "portcullis.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Environment variables that configure the egress proxy of both programs. */}}
{{- define "portcullis.egressProxy" -}}
{{- $proxy := .Values.egressProxy }}
{{- if or $proxy.url $proxy.existingSecret.name }}
{{- range list "HTTPS_PROXY" "HTTP_PROXY" }}
- name: {{ . }}
  {{- if $proxy.existingSecret.name }}
  valueFrom: {secretKeyRef: {name: {{ $proxy.existingSecret.name }}, key: {{ $proxy.existingSecret.key }}}}
  {{- else }}
  value: {{ $proxy.url | quote }}
  {{- end }}
{{- end }}
- {name: NO_PROXY, value: {{ join "," $proxy.noProxy | quote }}}
{{- end }}
{{- end }}

{{/* Arguments, mounts and volumes with which both programs decrypt the keys. */}}
{{- define "portcullis.keys.args" -}}
{{- $transit := .Values.keys.transit }}
{{- if eq .Values.keys.encryption "transit" }}
- --keys-encryption=transit
- --transit-address={{ $transit.address }}
- --transit-key={{ $transit.key }}
- --transit-mount={{ $transit.mount }}
{{- with $transit.previousKey }}
- --transit-previous-key={{ . }}
{{- end }}
{{- with $transit.namespace }}
- --transit-namespace={{ . }}
{{- end }}
{{- if $transit.kubernetes.role }}
- --transit-kubernetes-role={{ $transit.kubernetes.role }}
- --transit-kubernetes-mount={{ $transit.kubernetes.mount }}
{{- if $transit.kubernetes.audience }}
- --transit-service-account-token=/etc/portcullis/transit-account/token
{{- end }}
{{- else }}
- --transit-token-file=/etc/portcullis/transit-token/{{ $transit.tokenSecret.key }}
{{- end }}
{{- if $transit.caConfigMap.name }}
- --transit-ca=/etc/portcullis/transit-ca/{{ $transit.caConfigMap.key }}
{{- end }}
{{- end }}
{{- end }}

{{- define "portcullis.keys.mounts" -}}
{{- $transit := .Values.keys.transit }}
{{- if eq .Values.keys.encryption "transit" }}
{{- if not $transit.kubernetes.role }}
- {name: transit-token, mountPath: /etc/portcullis/transit-token, readOnly: true}
{{- else if $transit.kubernetes.audience }}
- {name: transit-account, mountPath: /etc/portcullis/transit-account, readOnly: true}
{{- end }}
{{- if $transit.caConfigMap.name }}
- {name: transit-ca, mountPath: /etc/portcullis/transit-ca, readOnly: true}
{{- end }}
{{- end }}
{{- end }}

{{- define "portcullis.keys.volumes" -}}
{{- $transit := .Values.keys.transit }}
{{- if eq .Values.keys.encryption "transit" }}
{{- if not $transit.kubernetes.role }}
- {name: transit-token, secret: {secretName: {{ $transit.tokenSecret.name }}}}
{{- else if $transit.kubernetes.audience }}
- name: transit-account
  projected:
    sources:
      - serviceAccountToken: {audience: {{ $transit.kubernetes.audience | quote }}, expirationSeconds: 3600, path: token}
{{- end }}
{{- if $transit.caConfigMap.name }}
- {name: transit-ca, configMap: {name: {{ $transit.caConfigMap.name }}}}
{{- end }}
{{- end }}
{{- end }}

{{/* Scheduling of pods: (dict "values" .Values.operator "selector" (include …)) */}}
{{- define "portcullis.placement" -}}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- if .values.topologySpreadConstraints }}
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- $.selector | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
  {{- end }}
{{- end }}

{{/* Checks that involve several values. The schema contains most of them too; these have clearer messages. */}}
{{- define "portcullis.check" -}}
{{- if eq .Values.database.kind "sqlite" }}
{{- if ne (include "portcullis.dataPlane.replicas" .) "1" }}
{{- fail "database.kind sqlite supports exactly one data-plane replica: remove dataPlane.replicas, or set database.kind to postgresql" }}
{{- end }}
{{- if .Values.dataPlane.autoscaling.enabled }}
{{- fail "database.kind sqlite does not support autoscaling: set dataPlane.autoscaling.enabled to false, or database.kind to postgresql" }}
{{- end }}
{{- else if not .Values.database.postgresql.existingSecret.name }}
{{- fail "database.kind postgresql requires database.postgresql.existingSecret.name: a Secret in the release's namespace that contains the URL" }}
{{- end }}
{{- if eq .Values.publication.namespace .Release.Namespace }}
{{- fail "publication.namespace must differ from the release's namespace: anyone who may read Secrets there could read the keys" }}
{{- end }}
{{- if and .Values.egressProxy.url .Values.egressProxy.existingSecret.name }}
{{- fail "egressProxy.url and egressProxy.existingSecret.name both configure a proxy: set only one of them" }}
{{- end }}
{{- if eq .Values.keys.encryption "transit" }}
{{- if not .Values.keys.transit.address }}
{{- fail "keys.encryption transit requires keys.transit.address: the URL of HashiCorp Vault or OpenBao" }}
{{- end }}
{{- if eq (empty .Values.keys.transit.kubernetes.role) (empty .Values.keys.transit.tokenSecret.name) }}
{{- fail "keys.encryption transit requires exactly one sign-in method: keys.transit.kubernetes.role or keys.transit.tokenSecret.name" }}
{{- end }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) }}
{{- fail "ingress.enabled requires ingress.host: the host of McpGateway's publicUrl" }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
{{- fail "httpRoute.enabled requires httpRoute.parentRefs: the Gateways that the HTTPRoute attaches to" }}
{{- end }}
{{- if gt (int .Values.dataPlane.autoscaling.minReplicas) (int .Values.dataPlane.autoscaling.maxReplicas) }}
{{- fail "dataPlane.autoscaling.minReplicas is greater than maxReplicas: lower minReplicas or raise maxReplicas" }}
{{- end }}
{{- end }}
