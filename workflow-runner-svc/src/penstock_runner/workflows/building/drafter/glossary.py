"""Chinese words that projects are named after, with the English word for a package name."""

from __future__ import annotations

# One row a theme: 词=word. The longest match wins, so 客服 is found before 客.
_ROWS = (
    "智能体=agent 助手=assistant 助理=assistant 机器人=bot 工具=tool 系统=system 平台=platform 专家=expert 顾问=advisor 管家=steward",
    "生成器=generator 生成=generator 分析=analysis 分析师=analyst 搜索=search 检索=search 查询=query 问答=question_answer 客服=support",
    "摘要=summary 总结=summary 翻译=translation 写作=writing 文案=copy 广告=advertising 小说=story 短篇小说=short_story 故事=story",
    "剧本=script 脚本=script 邮件=mail 文档=document 文件=file 文献=literature 论文=paper 报告=report 合同=contract 简历=resume",
    "医学=medical 医疗=medical 医药=pharma 药品=drug 临床=clinical 临床试验=clinical_trial 健康=health 患者=patient 病历=record",
    "股票=stock 金融=finance 财务=finance 投资=investment 基金=fund 保险=insurance 税务=tax 会计=accounting 银行=bank 风险=risk",
    "报价=quote 价格=price 成本=cost 预算=budget 采购=purchasing 销售=sales 营销=marketing 市场=market 客户=customer 订单=order",
    "电商=shop 商品=product 产品=product 库存=stock 物流=logistics 供应链=supply_chain 仓库=warehouse 快递=delivery 餐厅=restaurant",
    "数据=data 数据库=database 表格=table 统计=statistics 报表=report 图表=chart 趋势=trend 指标=metrics 可视化=visual 预测=forecast",
    "日志=log 监控=monitor 告警=alert 运维=operations 故障=incident 网络=network 拓扑=topology 安全=security 漏洞=vulnerability",
    "代码=code 审查=review 测试=test_case 接口=interface 开发=development 架构=architecture 部署=deploy 需求=requirements 项目=project",
    "脱敏=masking 隐私=privacy 敏感=sensitive 合规=compliance 法律=law 律师=lawyer 专利=patent 政策=policy 审计=audit 质量=quality",
    "新闻=news 舆情=opinion 情感=sentiment 评论=comment 反馈=feedback 社交=social 小红书=xiaohongshu 公众号=article 微博=weibo",
    "下载=download 网页=web 网站=website 链接=link 爬虫=crawler 抓取=crawler 图片=image 视频=video 音频=audio 语音=voice",
    "日程=schedule 日期=date 日历=calendar 会议=meeting 纪要=minutes 提醒=reminder 待办=todo 任务=task 计划=plan 清单=checklist",
    "学习=learning 教育=education 课程=course 老师=teacher 学生=student 考试=exam 题库=quiz 英语=english 数学=math 知识库=knowledge",
    "知识=knowledge 旅游=travel 旅行=travel 酒店=hotel 机票=flight 天气=weather 地图=map 美食=food 菜谱=recipe 健身=fitness",
    "招聘=hiring 面试=interview 员工=staff 人事=people 培训=training 绩效=performance 考勤=attendance 薪资=payroll 简报=briefing",
    "问候=greeting 欢迎=welcome 聊天=chat 对话=dialogue 情绪=mood 心理=psychology 咨询=consulting 推荐=recommendation 评估=assessment",
    "模板=template 表单=form 关键词=keyword 标签=tag 要点=key_points 建议=advice 诊断=diagnosis 能源=energy 水电=hydropower 泵站=pump",
    "房产=property 装修=renovation 汽车=car 农业=farming 气象=weather 环境=environment 游戏=game 音乐=music 电影=film 体育=sport",
    "云=cloud 亚马逊=amazon 采集=collector 清洗=cleaning 转换=converter 计算=calculator 管理=management 自动化=automation 智能=smart",
)

GLOSSARY: dict[str, str] = {
    chinese: english for row in _ROWS for chinese, _, english in (entry.partition("=") for entry in row.split())
}
LONGEST = max(map(len, GLOSSARY))
