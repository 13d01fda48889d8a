#!/usr/bin/env bash
# Starts Debian's ActiveMQ (apt-get install activemq) with STOMP on 127.0.0.1:$1, in the foreground; its data in folder $2.
set -eu
port=$1
base=$2/activemq
mkdir -p "$base/data" "$base/conf"
cat >"$base/conf/activemq.xml" <<XML
<beans xmlns="http://www.springframework.org/schema/beans"
       xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
       xsi:schemaLocation="http://www.springframework.org/schema/beans
         http://www.springframework.org/schema/beans/spring-beans-2.0.xsd
         http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" brokerName="localhost" useJmx="false"
          dataDirectory="$base/data" schedulerSupport="true">
    <persistenceAdapter><kahaDB directory="$base/data/kahadb" /></persistenceAdapter>
    <transportConnectors>
      <transportConnector name="stomp" uri="stomp://127.0.0.1:$port" />
    </transportConnectors>
  </broker>
</beans>
XML
if [ -f /etc/activemq/instances-available/main/log4j2.properties ]; then
  cp /etc/activemq/instances-available/main/log4j2.properties "$base/conf/"
fi
home=/usr/share/activemq
exec java -Xms128m -Xmx512m -Dactivemq.home=$home -Dactivemq.base="$base" -Dactivemq.conf="$base/conf" \
  -Dactivemq.data="$base/data" -cp "$base/conf:$home/lib/*:$home/lib/optional/*:$home/bin/activemq.jar" \
  org.apache.activemq.console.Main start "xbean:file:$base/conf/activemq.xml"
